"""The tokenizer of the tiny Apertus: byte-level BPE, with Apertus' special tokens and turns."""

from __future__ import annotations

from typing import Any

import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from model_gate.tiny_data import chats, documents

BEGIN, END, PAD, ANSWER_END = 1, 2, 3, 68
_NAMED = (
    "<|system_start|> <|system_end|> <|developer_start|> <|developer_end|> <|user_start|> "
    "<|user_end|> <|assistant_start|> <|assistant_end|> <|inner_prefix|> <|inner_suffix|> "
    "<|tools_prefix|> <|tools_suffix|>"
).split()
SPECIAL_TOKENS = (
    "<unk>",
    "<s>",
    "</s>",
    "<pad>",
    *(f"<SPECIAL_{number}>" for number in range(4, 61)),
    *_NAMED,
)
"""With the numbers that Apertus gives them."""

CHAT_TEMPLATE = """
{{- bos_token -}}
{%- if messages and messages[0]['role'] == 'system' -%}
  {%- set system = messages[0]['content'] -%}{%- set turns = messages[1:] -%}
{%- else -%}
  {%- set system = 'You are a tiny Apertus.' -%}{%- set turns = messages -%}
{%- endif -%}
{{- '<|system_start|>' + system + '<|system_end|>' -}}
{{- '<|developer_start|>Deliberation: ' + ('enabled' if enable_thinking else 'disabled') -}}
{{- '\\nTool Capabilities:' -}}
{%- if tools -%}
  {%- for tool in tools -%}
    {{- '\\ntype ' + (tool.function or tool).name + ' = (_: any) => any;' -}}
  {%- endfor -%}
{%- else -%}
  {{- ' disabled' -}}
{%- endif -%}
{{- '<|developer_end|>' -}}
{%- for turn in turns -%}
  {%- if turn['role'] == 'user' -%}
    {{- '<|user_start|>' + turn['content'] + '<|user_end|>' -}}
  {%- elif turn['role'] == 'assistant' -%}
    {{- '<|assistant_start|>' + (turn['content'] or '') -}}
    {%- if turn['tool_calls'] -%}
      {{- '<|tools_prefix|>[' -}}
      {%- for call in turn['tool_calls'] -%}
        {%- set function = call.function or call -%}
        {%- set given = function.arguments -%}
        {{- '{' + function.name|tojson + ': ' + (given if given is string else given|tojson) + '}' -}}
        {{- '' if loop.last else ', ' -}}
      {%- endfor -%}
      {{- ']<|tools_suffix|>' -}}
    {%- endif -%}
    {{- '<|assistant_end|>' -}}
  {%- elif turn['role'] == 'tool' -%}
    {{- '<|assistant_start|>[' + turn['content'] + ']<|assistant_end|>' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant_start|>' -}}{%- endif -%}
"""


def tokenizer(vocabulary: int) -> Any:
    """A byte-level BPE tokenizer, trained on all that the model learns.

    Args:
        vocabulary: number of its tokens.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    texts = [f"{chat.question}\n{chat.answer}" for chat in chats()] + documents()
    scaffold = "You are a tiny Apertus.\nDeliberation: disabled\nTool Capabilities: disabled"
    bpe.train_from_iterator(
        [*texts, *[scaffold] * 20],
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    bpe.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", BEGIN)]
    )
    roles = ("unk_token", "bos_token", "eos_token", "pad_token")
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        **dict(zip(roles, SPECIAL_TOKENS, strict=False)),
    )
    made.chat_template = CHAT_TEMPLATE.strip()
    return made
