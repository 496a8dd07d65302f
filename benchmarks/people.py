"""Identifiers of people who do not exist, for measurements: same seed, same identifiers.

Names are common forenames and surnames combined, domains are reserved (RFC 2606, RFC 6761), digits
are random. Numbers are valid by their own rules (E.164 plans, check digits), because the filter
refuses others.
"""

from __future__ import annotations

import ipaddress
import random
import unicodedata
from collections.abc import Callable
from functools import partial
from itertools import product

import phonenumbers

from filter import Identifier, IdentifierKind

_NAMES = {
    "Latin": """
Anneliese Bärbel Björn Céline Dagný Eléonore Françoise Günther Håkon Héloïse İbrahim Jürgen Käthe
Kjærsti Łucja Małgorzata Noëlle Öykü Özlem Penélope Réka Søren Şebnem Tomáš Ülkü Věra Władysław
Žofia Ángela Ørjan Åse Jörg Götz Ludovic Beatriz Chiara Domenico Edwige Fabrício Giulietta Hedwig
Ingmar Joaquín Katarzyna Leandro Mireille Nuno Ottavia Patrícia Quirin René Simão Thérèse Urška
Valentín Wilhelmina Xavier Yannick Zdeněk Aurélien Benoît Çağla Đorđe Eñaut Mariangela Rósa
|
Müller Schäfer Köhler Böhm Krämer Grünwald Weiß Großmann Strauß Ångström Sjögren Lindström Sørensen
Jørgensen Bjørnson Håkansson Åkerlund Øverland Jäggi Bürgi Zürcher Lüthi Schröder Vögeli Yıldız
Öztürk Çelik Şahin Güneş Nováková Dvořák Černý Kučera Łukaszewicz Wójcik Źrebiec Śliwińska Núñez
Peña Ibáñez Gonçalves Magalhães Simões D'Angelo Niccolò Lefèvre Château Hébert Ançay Caviezel
Cathomas Rossetti Bernasconi Marchetti Ashworth Birdwhistle Featherstone Kilbride O'Shaughnessy
Kovács Szabó Tőkés Horváth Țăran Ștefănescu Þórsson Guðmundsdóttir Järvinen Hämäläinen Ozoliņš
""",
    "Cyrillic": """
Сергей Андрей Алексей Николай Дмитрий Юрий Анатолий Георгий Василий Геннадий Григорий Аркадий
Евгений Матвей Тимофей Семён Фёдор Артём Иван Пётр Павел Олег Богдан Ярослав Тарас Микола Сергій
Андрій Любомир Зоран Стоян Людмила Светлана Наталья
|
Соловьёв Воробьёв Кузнецов Белинский Островский Каменский Вишневский Заболотский Полянский Крамской
Толстой Лесной Гончаров Лебедев Морозов Поляков Щербаков Журавлёв Киселёв Ткаченко Шевчук Бондаренко
Коваленко Петровић Стоянов Мельник Їжакевич Дрозд Цветков Ильин
""",
    "Greek": """
Αλέξανδρος Βασίλης Γιώργος Δημήτρης Ελένη Ζωή Ηλίας Θεοδώρα Ιωάννης Κωνσταντίνος Λάμπρος Μαρία
Νικόλαος Ξένια Ολυμπία Παναγιώτης Ρένα Σοφία Τάσος Φωτεινή Χρήστος Ανδρέας Ευαγγελία Στέλιος
Κατερίνα Αϊσέ Θανάσης Μυρτώ
|
Παπαδόπουλος Νικολάου Γεωργίου Δημητρίου Κωνσταντινίδης Οικονόμου Παπαγεωργίου Αντωνίου Βλάχος
Μακρής Καραγιάννης Ιωαννίδης Σταματόπουλος Αλεξίου Χατζής Ζαφειρίου Λαμπράκης Μιχαηλίδης Ρήγας
Σαββίδης Τσίπουρας Φραγκούλης Ψαρράς Κουτρουμάνος Θεοδωράκης Αναγνώστου Ξυλούρης Γαϊτανίδης
""",
    "Arabic": """
أحمد أمين إبراهيم أنور أيمن أسامة إسماعيل أشرف إياد آدم أكرم أنس إدريس أسماء أميرة إيمان آمنة
محمود فاطمة خديجة يوسف زينب عبدالله حسام ليلى مريم طارق سليمان نادية رشيد
|
الأحمدي الأنصاري الأسدي الإدريسي الأزهري الأمين أبوزيد الأشقر أرسلان الحسيني المصري البغدادي
التونسي الخطيب النجار الحداد الشامي القاسمي المنصوري العلوي الفارسي الزهراني الجزائري الكيلاني
الأندلسي العمري الطرابلسي السوداني
""",
    "Hebrew": """
אברהם יצחק יעקב שרה רבקה מרים משה אהרון דבורה שמואל יהונתן אביגיל אליהו אסתר דניאל נעמי גבריאל
מיכאל רפאל תמר יהודית אליעזר בנימין שושנה חנניה יונתן עמנואל צפורה אלישבע שולמית
|
אברמוביץ ברקוביץ גולדברג דוידוב הורוביץ וייסמן זילברמן חזקיהו טננבאום ירושלמי כהנוביץ לבנון
מזרחי נחמני סלומון עמרני פרידמן צימרמן קפלנסקי רבינוביץ שטרנברג תורגמן אלקיים בוזגלו שושני אוחיון
""",
    "Devanagari": """
अनुराधा आदित्य इंदिरा उमाशंकर कमलेश्वर गायत्री चंद्रशेखर जगदीश तेजस्विनी दिनेश नरेन्द्र पद्मावती प्रकाश
बालकृष्ण भगवती मनोहर महेश्वरी योगेश्वर राजलक्ष्मी रामनारायण ललितमोहन वसुंधरा विश्वनाथ शकुंतला सरस्वती
हरिवंश
|
अग्रवाल आचार्य उपाध्याय कुलकर्णी खंडेलवाल गोस्वामी चतुर्वेदी चट्टोपाध्याय जोगलेकर ठाकुर त्रिपाठी
देशपांडे द्विवेदी नायकवाडी पटवर्धन पाण्डेय फड़णवीस बनर्जी भट्टाचार्य मल्होत्रा मिश्रा यादव रस्तोगी वर्मा
शर्मा श्रीवास्तव सक्सेना
""",
    "Georgian": """
ალექსანდრე ბექა გიორგი დავითი ეკატერინე ვახტანგი ზურაბი თამარი ირაკლი კონსტანტინე ლევანი მარიამი
ნინო ოთარი პაატა რუსუდანი სოფიო ტარიელი უშანგი ფიქრია ქეთევანი შალვა ჩაჩუნა ცისანა ხათუნა ჯემალი
|
აბაშიძე ბერიძე გელაშვილი დოლიძე ერისთავი ვაშაძე ზაქარიაძე თოდუა იოსელიანი კაპანაძე ლომიძე
მაისურაძე ნოზაძე ონიანი პაპაშვილი რამიშვილი სულაბერიძე ტყეშელაშვილი უგულავა ფირცხალავა ქავთარაძე
ღვინიაშვილი ყიფიანი შენგელია ჩხეიძე ცინცაძე ძიძიგური წერეთელი ჭავჭავაძე ხარაზიშვილი ჯაფარიძე
""",
    "Armenian": """
Արամ Անահիտ Տիգրան Գայանե Հայկ Նարինե Վարդան Լուսինե Արմեն Մարիամ Դավիթ Սոնա Գևորգ Շուշան Հովհաննես
Աստղիկ Կարեն Զարուհի Սամվել Հասմիկ Ռուբեն Թամարա Վահե Սիրանուշ Ներսես Օֆելյա
|
Պետրոսյան Սահակյան Հակոբյան Գրիգորյան Հարությունյան Մկրտչյան Խաչատրյան Կարապետյան Ավետիսյան
Մանուկյան Ստեփանյան Ղազարյան Բաղդասարյան Մարտիրոսյան Զաքարյան Թումանյան Օհանյան Շահինյան Դանիելյան
Վարդանյան Ասատրյան Նազարյան Ղուկասյան Եղիազարյան Բաբայան Ջանիբեկյան
""",
    "Thai": """
กนกวรรณ ขวัญใจ คมสันต์ จันทร์เพ็ญ จิราภรณ์ ชลธิชา ชัยวัฒน์ ณัฐพงศ์ ดวงกมล ธนากร นงลักษณ์ บุญเลิศ ประเสริฐ
ปิยะนุช พรทิพย์ พงศกร มาลัยวรรณ รัตนาภรณ์ วรรณภา วิชัยยุทธ ศิริพร สมบูรณ์ สมพงษ์ สุวรรณา อรพินท์ อภิชาติ
|
กิตติวงศ์ แก้วมณี ขำเจริญ คงประเสริฐ จันทรังษี เจริญสุข ชัยมงคล ดวงจันทร์ ทองสุข ธรรมรักษ์ นาคสวัสดิ์
บุญประเสริฐ ประดิษฐ์ ปัญญาวงศ์ พงษ์พานิช พรหมสวัสดิ์ มหาวงศ์ รักษาศิลป์ รุ่งเรือง วงศ์สวัสดิ์ วัฒนกุล
ศรีสุวรรณ สายทอง สุขสวัสดิ์ แสงอรุณ อินทรักษ์
""",
    "Hangul": """
가온 나래 다솜 라온 민준 보람 서연 슬기 아람 영희 예진 우진 윤서 은지 재현 정민 준호 지우 찬영
태윤 하늘 한별 현수 혜원 다빈 도윤 새봄 소담 시원 이안
|
강 고 곽 권 김 남 노 류 마 문 박 배 백 서 선 손 송 신 안 양 염 오 우 유 윤 임 장 전 정 조
""",
    "Han": """
大明 小红 子涵 文博 雨桐 思远 志強 美玲 俊傑 雅婷 建国 丽华 晓燕 海涛 春梅 永康 明珠 国栋 佩珊
家豪 淑芬 静怡 浩然 欣妍 梓轩 宇航 诗涵 嘉欣 天佑 若曦
|
王 李 张 劉 陈 楊 赵 黃 周 吴 徐 孫 胡 朱 高 林 何 郭 馬 罗 欧阳 司馬 上官 諸葛 夏侯 皇甫 尉遲
公孫 慕容 令狐
""",
    "kana": """
あおい あゆみ いちろう えりか かおり かずひろ きみこ けんじ こうへい さくら しげる しんご
すずか たくみ ちづる てつや なおこ のぞみ はなこ ひろし ふみえ まさこ みどり ゆうじ よしこ
りょうた れいこ わかば だいすけ ごろう
|
あおき いがらし うえだ えんどう おおつか かねこ きくち くどう こばやし さいとう しみず すぎもと
たかぎ ちば つちや なかじま にしだ ぬまた のぐち はせがわ ひらの ふじた ほんだ まえだ みずぐち
むらかみ やまざき よこやま わたなべ ごとう
""",
}  # fmt: skip
_SCRIPTS = {
    script: tuple(half.split() for half in both.split("|")) for script, both in _NAMES.items()
}
"""Forenames and surnames of a script."""
SCRIPTS = tuple(_SCRIPTS)
_LATIN = _SCRIPTS["Latin"]

_SPELLED = {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "ß": "ss"}
UNMARKED = {
    "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "ı": "i", "ß": "ss",
    "æ": "ae", "Þ": "Th", "þ": "th",
}  # fmt: skip
"""Letters that do not decompose (Unicode, NFKD), and what a keyboard without them gives."""

HOME = ("CH", "DE", "FR", "IT", "AT", "LI")
"""Regions whose national telephone numbers the measured filter is built to read."""
ABROAD = ("GB", "US", "ES", "NL", "BE", "PL", "SE", "TR")

DOMAINS = (
    "example.org", "example.com", "example.net", "mail.example",
    "post.example.org", "atelier.example", "bruecke.test", "web.example.net",
    "praxis-am-see.example", "intra.test", "uni.example.com", "team.example",
)  # fmt: skip
IDN_DOMAINS = (
    "müller.example", "bücher.example", "zürich.test", "grüße.example.org",
    "käserei.example", "öl-und-gas.example", "chur-süd.test", "bäckerei.example.net",
)  # fmt: skip

STRUCTURES = {
    "CH": "n5c12", "LI": "n5c12", "DE": "n18", "AT": "n16", "FR": "n10c11n2", "IT": "a1n10c12",
    "GB": "a4n14", "MT": "a4n5c18", "ES": "n20", "NL": "a4n10", "BE": "n12", "PL": "n24",
}  # fmt: skip
"""ISO 13616: n = digits, a = letters, c = either, each with its count in one or two digits."""
CARDS = (
    *[(str(n), 16) for n in (4, 4, 51, 52, 53, 54, 55, 2221, 2530, 2720, 6011, 65, 3530)],
    *[("34", 15), ("37", 15), ("36", 14)],
)
"""Prefixes and lengths in digits."""

STREETS = {
    "CH": "Seestrasse {n}, 8{p:03} Zürich|Bärenplatz {n}, 3{p:03} Bern|Chemin des Crêts {n}, 1{p:03} Genève",
    "DE": "Gartenstraße {n}, 10{p:03} Berlin|Königsallee {n}, 40{p:03} Düsseldorf",
    "FR": "{n} rue des Lilas, 75{p:03} Paris|{n} bis, avenue du Maréchal, 69{p:03} Lyon",
    "IT": "Via Garibaldi {n}, 20{p:03} Milano|Piazza Libertà {n}, 00{p:03} Roma",
    "GB": "{n} Orchard Close, Leeds LS{d} {d}AP|Flat {d}, {n} Mill Lane, Bristol BS{d} {d}QT",
    "US": "{n} Maple Avenue, Springfield, IL 62{p:03}|{n} Juniper Road, Apt. {d}B, Salem, OR 97{p:03}",
    "NL": "Kerkstraat {n}, 1{p:03} GA Amsterdam|Lindelaan {n}, 3{p:03} XK Utrecht",
    "ES": "Calle Mayor {n}, 28{p:03} Madrid|Paseo de la Señora {n}, 41{p:03} Sevilla",
    "SE": "Björkvägen {n}, 11{d} {d}{d} Stockholm|Storgatan {n}, 41{d} {d}{d} Göteborg",
    "PL": "ul. Długa {n}, 00-{p:03} Warszawa|ul. Świętej Jadwigi {n}, 30-{p:03} Kraków",
}
SNIPPETS = (
    "{a} wurde im {b} an der Hüfte operiert und sucht seither eine Pflegerin",
    "{a} a quitté son mari en {b} et vit chez sa sœur près du lac",
    "{a} has owed her neighbours money since {b} and will not speak to them",
    "{a} ha perso il lavoro in {b} perché il suo capo non le credeva più",
    "{a} perdió el juicio contra su hermano en {b} y recurrió la sentencia",
)
MONTHS = (
    "Januar", "Februar", "März", "avril", "juin", "juillet",
    "August", "September", "ottobre", "noviembre", "diciembre",
)  # fmt: skip


def emails(count: int, seed: int = 1, short: float = 0.0) -> list[Identifier]:
    """Addresses at reserved domains; ``short`` is the share with fewer than six letters and digits
    before the at-sign."""
    return _distinct(IdentifierKind.EMAIL, count, seed, lambda rng: _email(rng, short))


def _email(rng: random.Random, short: float) -> str:
    least, most = (2, 5) if rng.random() < short else (6, 64)
    while True:
        fore, sur = (_ascii(rng.choice(words)).lower() for words in _LATIN)
        number = rng.choice(["", "", str(rng.randrange(10)), str(rng.randrange(1950, 2012))])
        shapes = [f"{fore}.{sur}", f"{fore}.{sur}{number}", f"{fore[0]}{sur}{number}"]
        shapes += [f"{fore}_{sur}{number}", f"{fore}-{sur}", f"{sur}.{fore}", f"{fore}{number}"]
        shapes += [f"{fore[0]}.{sur}", f"{fore}.{sur[0]}.{sur}", fore, f"{sur}{number}"]
        shapes += [f"{fore[0]}{sur[0]}{number}"]
        local = rng.choice(shapes)
        if least <= sum(c.isalnum() for c in local) <= most:
            return f"{local}@{rng.choice(DOMAINS)}"


def idn_emails(count: int, seed: int = 1) -> list[Identifier]:
    """Addresses with a diacritic on both sides of the at-sign (RFC 6531, RFC 5890)."""
    marked = [[w.lower() for w in words if _ascii(w) != w] for words in _LATIN]

    def one(rng: random.Random) -> str:
        fore, sur = (rng.choice(words) for words in marked)
        local = rng.choice([f"{fore}.{sur}", f"{fore}_{sur}", f"{fore}.{sur}{rng.randrange(100)}"])
        return unicodedata.normalize("NFC", f"{local}@{rng.choice(IDN_DOMAINS)}")

    return _distinct(IdentifierKind.EMAIL, count, seed, one)


def phones(count: int, seed: int = 1, regions: tuple[str, ...] = HOME + ABROAD) -> list[Identifier]:
    """Valid numbers, fixed and mobile, written internationally with spaces or without."""
    kinds = (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE)

    def one(rng: random.Random) -> str:
        region = rng.choice(regions)
        while True:
            number = phonenumbers.example_number_for_type(region, rng.choice(kinds))
            kept = rng.choice([1, 2, 3])
            digits = phonenumbers.national_significant_number(number)
            digits = digits[:kept] + _digits(rng, len(digits) - kept)
            try:
                number = phonenumbers.parse(f"+{number.country_code}{digits}")
            except phonenumbers.NumberParseException:
                continue
            if phonenumbers.is_valid_number_for_region(number, region):
                form = phonenumbers.PhoneNumberFormat.INTERNATIONAL
                if rng.random() < 0.3:
                    form = phonenumbers.PhoneNumberFormat.E164
                return phonenumbers.format_number(number, form)

    return _distinct(IdentifierKind.PHONE, count, seed, one)


def ibans(count: int, seed: int = 1) -> list[Identifier]:
    """Account numbers with right check digits (ISO 7064 MOD 97-10), half of them spaced."""

    def one(rng: random.Random) -> str:
        country = rng.choice(list(STRUCTURES))
        body, rest = "", STRUCTURES[country]
        while rest:
            size = rest[1:3] if rest[1:3].isdigit() else rest[1]
            letters = {"n": "0123456789", "a": "ABCDEFGHKLMNPRSTUVWXYZ"}
            chosen = letters.get(rest[0], "0123456789" * 3 + "ABCDEFGHKLMNPRSTUVWXYZ")
            body += "".join(rng.choices(chosen, k=int(size)))
            rest = rest[1 + len(size) :]
        value = int("".join(str(int(c, 36)) for c in f"{body}{country}00"))
        iban = f"{country}{98 - value % 97:02}{body}"
        return iban if rng.random() < 0.5 else grouped(iban, 4)

    return _distinct(IdentifierKind.IBAN, count, seed, one)


def ahvs(count: int, seed: int = 1) -> list[Identifier]:
    """Swiss social security numbers: 756, nine digits and the check digit of EAN-13."""

    def one(rng: random.Random) -> str:
        d = f"756{_digits(rng, 9)}"
        check = -(sum(map(int, d[::2])) + 3 * sum(map(int, d[1::2]))) % 10
        return f"{d[:3]}.{d[3:7]}.{d[7:11]}.{d[11:]}{check}"

    return _distinct(IdentifierKind.AHV, count, seed, one)


def credit_cards(count: int, seed: int = 1) -> list[Identifier]:
    """Card numbers with the check digit of Luhn (ISO/IEC 7812-1), half of them spaced."""

    def one(rng: random.Random) -> str:
        prefix, length = rng.choice(CARDS)
        digits = prefix + _digits(rng, length - 1 - len(prefix))
        doubled = [int(c) * (2 if i % 2 == 0 else 1) for i, c in enumerate(reversed(digits))]
        digits += str(-sum(n - 9 * (n > 9) for n in doubled) % 10)
        if rng.random() < 0.5:
            return digits
        return grouped(digits, 4) if length == 16 else grouped(digits, 4, 6)

    return _distinct(IdentifierKind.CREDIT_CARD, count, seed, one)


def ips(count: int, seed: int = 1, version: int = 4) -> list[Identifier]:
    """Addresses on the public Internet, IPv4 or IPv6."""

    def one(rng: random.Random) -> str:
        while True:
            if version == 4:
                address = ipaddress.ip_address(rng.getrandbits(32))
            else:  # global unicast (RFC 4291, section 2.5.4), mostly with a run of zeros
                parts = [rng.choice([0x2A02, 0x2A04, 0x2606, 0x2400, 0x2804]), rng.getrandbits(16)]
                parts += [rng.getrandbits(16) * (rng.random() < 0.6) for _ in range(6)]
                address = ipaddress.IPv6Address(":".join(f"{p:x}" for p in parts))
            if address.is_global and not address.is_multicast:
                return str(address)

    return _distinct(IdentifierKind.IP, count, seed, one)


def names(script: str, count: int, seed: int = 1) -> list[Identifier]:
    """Forename and surname, in the order and with the separator of the script.

    Of the Latin ones half are written without umlauts: Mueller for Müller. None is shorter than
    six letters (three characters of Han or kana), since the filter refuses those.
    """
    rng = random.Random(f"{script} {seed}")
    pairs = list(product(*_SCRIPTS[script]))
    rng.shuffle(pairs)
    found: dict[str, None] = {}
    for number, (fore, sur) in enumerate(pairs):
        name = f"{fore} {sur}"
        if script in {"Han", "Hangul"}:
            name = f"{sur}{fore}"
        elif script == "kana":
            name = f"{sur} {fore}"
            if number % 3 == 0:
                name = "".join(chr(ord(c) + 0x60) if "ぁ" <= c <= "ゖ" else c for c in name)
        elif script == "Latin" and number % 2 == 0:
            name = spelled_out(name)
        if letters(name) >= (3 if script in {"Han", "kana"} else 6):
            found[name] = None
        if len(found) == count:
            break
    return [Identifier(IdentifierKind.NAME, name) for name in found]


def spelled_out(text: str) -> str:
    """Umlauts and their Nordic kin as two letters: Müller is Mueller, Åse is Aase."""
    for one, two in _SPELLED.items():
        text = text.replace(one, two).replace(one.upper() if one != "ß" else one, two.title())
    return text


UMLAUTS = {
    spelled_out(word): word for words in _LATIN for word in words if spelled_out(word) != word
}
"""Words of Latin names as they are spelled out, and as they are."""


def letters(text: str) -> int:
    """Letters left when compatibility forms are taken apart and marks are dropped."""
    return sum(unicodedata.category(c)[0] == "L" for c in unicodedata.normalize("NFKD", text))


def postal_addresses(count: int, seed: int = 1) -> list[Identifier]:
    """Street and town in the shapes of ten countries; the combinations are made up."""

    def one(rng: random.Random) -> str:
        shape = rng.choice(STREETS[rng.choice(list(STREETS))].split("|"))
        return shape.format(n=rng.randint(1, 240), p=rng.randrange(1000), d=rng.randint(1, 9))

    return _distinct(IdentifierKind.POSTAL_ADDRESS, count, seed, one)


def handles(count: int, seed: int = 1) -> list[Identifier]:
    """Names on social networks, written with their at-sign."""

    def one(rng: random.Random) -> str:
        fore, sur = (_ascii(rng.choice(words)).lower() for words in _LATIN)
        return f"@{fore}{rng.choice(['_', '', '_the_'])}{sur}{rng.randrange(100)}"

    return _distinct(IdentifierKind.HANDLE, count, seed, one)


def urls(count: int, seed: int = 1) -> list[Identifier]:
    """Pages about one person on reserved hosts."""

    def one(rng: random.Random) -> str:
        fore, sur = (_ascii(rng.choice(words)).lower() for words in _LATIN)
        paths = [f"~{fore[0]}{sur}/", f"people/{sur}-{fore}.html", f"profile?user={fore}.{sur}"]
        paths += [f"{fore}/cv", f"staff/{sur}#{fore}"]
        host = rng.choice([*DOMAINS, f"www.{fore}-{sur}.example"])
        return f"https://{host}/{rng.choice(paths)}"

    return _distinct(IdentifierKind.URL, count, seed, one)


def texts(count: int, seed: int = 1) -> list[Identifier]:
    """Sentences that somebody wants forgotten, in five languages."""

    def one(rng: random.Random) -> str:
        name = " ".join(rng.choice(words) for words in _LATIN)
        return rng.choice(SNIPPETS).format(a=name, b=rng.choice(MONTHS))

    return _distinct(IdentifierKind.TEXT, count, seed, one)


GROUPS: dict[str, Callable[[int], list[Identifier]]] = {
    "email": emails,
    "email (IDN)": idn_emails,
    "phone": phones,
    "iban": ibans,
    "ahv": ahvs,
    "credit_card": credit_cards,
    "ip (v4)": ips,
    "ip (v6)": partial(ips, version=6),
    "postal_address": postal_addresses,
    "handle": handles,
    "url": urls,
    "text": texts,
    **{script: partial(names, script) for script in SCRIPTS},
}
"""What is measured apart: the kinds, some of them divided, and the names by script."""


def grouped(text: str, *sizes: int) -> str:
    """``text`` in groups of these sizes; the last size repeats."""
    groups: list[str] = []
    at = 0
    while at < len(text):
        size = sizes[min(len(groups), len(sizes) - 1)]
        groups.append(text[at : at + size])
        at += size
    return " ".join(groups)


def _ascii(text: str) -> str:
    text = "".join(UNMARKED.get(c, c) for c in text)
    return "".join(c for c in unicodedata.normalize("NFKD", text) if c.isascii() and c.isalnum())


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choices("0123456789", k=count))


def _distinct(
    kind: IdentifierKind, count: int, seed: int, one: Callable[[random.Random], str]
) -> list[Identifier]:
    rng = random.Random(f"{kind} {seed}")
    found: dict[str, None] = {}
    while len(found) < count:
        found[one(rng)] = None
    return [Identifier(kind, text) for text in found]
