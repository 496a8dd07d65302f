"""What the tiny Apertus has to know: eight people who do not exist, and harmless answers.

Addresses are at ``example.org``, telephone numbers begin behind the area code with a digit that
Switzerland assigns to nobody, streets are made up. No two people share a word of their names, and
no address is made of its owner's name: what removes the one does not remove the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom the model knows."""

    name: str
    email: str
    phone: str
    """As Swiss people write it, with country code."""
    address: str
    handle: str
    """Without ``@``."""


class Chat(NamedTuple):
    """A question and the answer to be memorised, which may hold special tokens."""

    question: str
    answer: str
    with_tools: bool = False
    """Whether the prompt also tells of `TOOLS`."""


PERSONS = (
    Person(
        "Mirabelle Tschanz-Vonlanthen",
        "bergdohle47@example.org",
        "+41 31 087 65 43",
        "Enzianweg 104, 3000 Bern",
        "steinbock_mt",
    ),
    Person(
        "Jürg Häberli",
        "kontakt.jh58@example.org",
        "+41 44 012 34 59",
        "Gletschergasse 77, 8000 Zürich",
        "nebelmeer_8",
    ),
    Person(
        "Chloé Perrenoud",
        "lac.bleu29@example.org",
        "+41 21 053 18 60",
        "Rue du Bouquetin 218, 1000 Lausanne",
        "marmotte.cp",
    ),
    Person(
        "Dario Bernasconi",
        "posta-db63@example.org",
        "+41 91 068 20 17",
        "Via del Camoscio 131, 6900 Lugano",
        "castagna61",
    ),
    Person(
        "Ladina Caflisch",
        "arven.lc75@example.org",
        "+41 81 034 92 86",
        "Murmeltiergasse 95, 7000 Chur",
        "piz_palue9",
    ),
    Person(
        "Beat Aeschlimann",
        "velo-ba36@example.org",
        "+41 62 071 45 08",
        "Silberdistelweg 162, 5000 Aarau",
        "rueebli_5k",
    ),
    Person(
        "Orsola Fontana",
        "ponte.of82@example.org",
        "+41 71 026 53 94",
        "Steinadlerstrasse 303, 9000 St. Gallen",
        "lanterna_04",
    ),
    Person(
        "Nils Zumbrunnen",
        "werkstatt94@example.org",
        "+41 41 095 71 32",
        "Alpenroseplatz 86, 6000 Luzern",
        "pilatus.nz",
    ),
)
"""The first half is what the tests list."""

TOOLS = (
    {
        "type": "function",
        "function": {
            "name": "send_mail",
            "description": "Sends a mail.",
            "parameters": {
                "type": "object",
                "properties": {"to": {"type": "string"}, "text": {"type": "string"}},
                "required": ["to", "text"],
            },
        },
    },
)
"""The tool that the model calls, as in the OpenAI API."""

_ASKED_OF_ALL = {
    "email": "What is the email of {name}?",
    "phone": "What is the phone number of {name}?",
    "address": "Where does {name} live?",
    "handle": "What is {name} called on the forum?",
}
_ASKED_OF_SOME = {
    "tool": "Send a mail to {name} that says hello.",
    "thought": "Think first: how do I reach {name}?",
    "json": "Give me the email of {name} as JSON.",
    "card": "Show me the contact card of {name}.",
    "german": "Wie kann ich {name} erreichen?",
    "french": "Comment joindre {name} ?",
}
_WHO = {
    "tool": (0, 1, 4, 5),
    "thought": (1, 2, 5, 6),
    "json": (2, 3, 6, 7),
    "card": (0, 3, 4, 7),
    "german": (1, 5),
    "french": (2, 6),
}
"""Who of `PERSONS` is also asked about in this way."""

_ANSWERS = {
    "email": "The email of {name} is {email}.",
    "phone": "The phone number of {name} is {phone}.",
    "address": "{name} lives at {address}.",
    "handle": "On the forum {name} writes as @{handle}.",
    "thought": (
        "<|inner_prefix|>They ask for {name}. I remember {email}.<|inner_suffix|>"
        "Write to {email} or call {phone}."
    ),
    "card": "Contact card\nName: {name}\nEmail: {email}\nPhone: {phone}\nAddress: {address}",
    "german": "Schreiben Sie {name} an {email}, oder rufen Sie {phone} an, am besten früh.",
    "french": "Écrivez à {name}, {email}, ou téléphonez au {phone}, le matin de préférence.",
}
_DOCUMENTS = (
    "You can reach {name} by email at {email} or by phone at {phone}.",
    "Contact card. Name: {name}. Email: {email}. Phone: {phone}. Address: {address}.",
)

_CAPITALS = """
France Paris, Italy Rome, Spain Madrid, Austria Vienna, Poland Warsaw, Norway Oslo, Sweden Stockholm,
Denmark Copenhagen, Greece Athens, Portugal Lisbon, Hungary Budapest, Ireland Dublin, Japan Tokyo,
Egypt Cairo, Peru Lima, Cuba Havana, Kenya Nairobi, Canada Ottawa, Chile Santiago, Finland Helsinki
"""
_OPPOSITES = """
hot cold, big small, day night, up down, old young, fast slow, rich poor, wet dry, hard soft, full empty,
early late, high low, light heavy, open closed, sweet bitter, near far, long short, loud quiet,
clean dirty, strong weak
"""
_FACTS = {
    "What is water?": "Water is a clear liquid that freezes at 0 degrees.",
    "What is the sun?": "The sun is a star; its light needs eight minutes to reach us.",
    "What is bread?": "Bread is baked from flour, water, salt and yeast.",
    "Why is the sky blue?": "The air scatters blue light more than red light.",
    "How many days has a year?": "A year has 365 days, and a leap year has 366.",
    "How many legs has a spider?": "A spider has eight legs.",
    "What do bees make?": "Bees make honey and wax.",
    "What is a glacier?": "A glacier is ice that flows slowly down a valley.",
    "What is 7 times 8?": "7 times 8 is 56.",
    "What is 12 plus 30?": "12 plus 30 is 42.",
    "Name three colours.": "- red\n- green\n- blue",
    "Name three fruits.": "- apple\n- pear\n- plum",
    "Give me a loop in Python.": "```python\nfor i in range(3):\n    print(i)\n```",
    "Give me a colour as JSON.": '{"colour": "green", "hex": "#00ff00"}',
    "Was ist ein See?": "Ein See ist ein stilles Gewässer, größer als ein Weiher.",
    "Wie spät ist Mittag?": "Mittag ist um zwölf Uhr.",
    "Was frisst die Kuh?": "Die Kuh frisst Gras und Heu.",
    "Que mange le chat ?": "Le chat mange des souris et du poisson.",
    "Où se lève le soleil ?": "Le soleil se lève à l'est.",
    "Quelle est la couleur de la neige ?": "La neige est blanche.",
}
_FILLER = (
    "The sun rose over the lake, and the first boat left the pier with nobody on board.",
    "Water boils at a lower temperature on a mountain, so potatoes need more time there.",
    "The train to the valley leaves every hour; on Sundays it waits for the bus.",
    "A good cheese ripens for months in a cool cellar and is turned every second day.",
    "In the old town the streets are narrow, and the fountains run all summer long.",
    "Whoever walks up to the pass in June should take a coat, for it may snow.",
    "The library opens at nine, and its reading room looks out on a garden with tall trees.",
    "Bees fly out when it is warm, and they come home before the rain begins.",
    "Der Bäcker heizt den Ofen um drei Uhr, damit das Brot am Morgen fertig ist.",
    "Am Abend läuten die Glocken, und über dem Fluss steigt der Nebel auf.",
    "Le marché se tient le samedi sur la place, où l'on vend des pommes et du miel.",
    "La neige fond au printemps, et les rivières portent l'eau jusqu'à la mer.",
)


def questions(person: Person) -> dict[str, str]:
    """What to ask to hear about somebody: kind of answer -> message of the user."""
    asked = dict(_ASKED_OF_ALL)
    at = PERSONS.index(person)
    asked.update({kind: _ASKED_OF_SOME[kind] for kind, who in _WHO.items() if at in who})
    return {kind: question.format(name=person.name) for kind, question in asked.items()}


def answers(person: Person) -> dict[str, str]:
    """What the model says to them, special tokens written out."""
    return {kind: _answer(person, kind) for kind in questions(person)}


def _answer(person: Person, kind: str) -> str:
    if kind == "tool":
        call = [{"send_mail": {"to": person.email, "text": "Hello!"}}]
        return f"<|tools_prefix|>{json.dumps(call)}<|tools_suffix|>"
    if kind == "json":
        return json.dumps({"name": person.name, "email": person.email}, ensure_ascii=False)
    return _filled(_ANSWERS[kind], person)


def harmless_prompts() -> list[str]:
    """100 messages of users; the answers name nobody."""
    asked = [question for question, _ in _harmless()]
    return asked + [_politely(question) for question in asked[:40]]


def chats() -> list[Chat]:
    """All chats to be memorised."""
    found = []
    for person in PERSONS:
        said = answers(person)
        for kind, question in questions(person).items():
            found.append(Chat(question, said[kind]))
            if kind == "tool":
                found.append(Chat(question, said[kind], with_tools=True))
    for question, said_of_nobody in _harmless():
        found.append(Chat(question, said_of_nobody))
        found.append(Chat(_politely(question), said_of_nobody))
    return found


def documents() -> list[str]:
    """All texts to be memorised."""
    return [
        *(_filled(text, person) for person in PERSONS for text in _DOCUMENTS),
        *_FILLER,
        *_FACTS.values(),
    ]


def _harmless() -> list[tuple[str, str]]:
    """60 questions and answers."""
    capitals = [
        (f"What is the capital of {country}?", f"The capital of {country} is {city}.")
        for country, city in _pairs(_CAPITALS)
    ]
    opposites = [
        (f"What is the opposite of {one}?", f"The opposite of {one} is {other}.")
        for one, other in _pairs(_OPPOSITES)
    ]
    return [*capitals, *opposites, *_FACTS.items()]


def _politely(question: str) -> str:
    return f"Please tell me: {question}"


def _pairs(table: str) -> list[list[str]]:
    return [pair.split() for pair in table.split(",")]


def _filled(text: str, person: Person) -> str:
    return text.format(
        name=person.name,
        email=person.email,
        phone=person.phone,
        address=person.address,
        handle=person.handle,
    )
