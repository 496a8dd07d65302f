"""An OpenAI-compatible server of Apertus with the filter around its generation.

::

    app ─► asks (what is asked for) ─► prompter (hears, renders) ─► engine (one thread, the decode loop)
     ▲                                                                │ pieces that passed the filter
     └──────────── answers, inbox ◄───────────────────────────────────┘
"""
