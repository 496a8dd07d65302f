"""Last labels of domain names: where an address ends when text touches it.

The country codes of ISO 3166-1 that IANA has delegated, the generic domains in wide use, and the names
that RFC 2606 and RFC 6761 set aside. A label that is not here ends where it ends in the text.
"""

from __future__ import annotations

TOP_LEVEL = frozenset(
    """
ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz
ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk
fm fo fr ga gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir
is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk
ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl
pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc
td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw
aero asia biz cat com coop edu gov info int jobs mil mobi museum name net org post pro tel travel xxx
academy agency app art associates bank berlin blog brussels business cafe camp capital care center church
city cloud club coach codes community company consulting cool corsica dance data design dev digital
directory doctor education email energy engineering events expert family farm fashion film finance fit
foundation fun fund gallery games global gmbh green group guide guru hamburg haus health help hosting house
immo ink institute international koeln koln land law legal life link live loan london love ltd management
market marketing media moda moscow net network news nrw nyc one online page paris partners photo photography
photos place plus press productions pub quebec radio ruhr school science services shop site social software
solutions space store studio swiss systems team tech technology tips today tools top tours town training
tube tv university vegas ventures versicherung vet video vip vision wales wang watch web website wien wiki
win work works world xyz yoga zone zuerich
example test invalid localhost local onion internal lan home corp
""".split()
)
LONGEST = max(map(len, TOP_LEVEL))
