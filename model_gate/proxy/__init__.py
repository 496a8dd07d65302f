"""The filter before an engine that serves a model: vLLM, SGLang, llama.cpp, anything like OpenAI's API."""

from model_gate.proxy.app import Proxy

__all__ = ["Proxy"]
