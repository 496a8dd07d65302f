"""Sentences that carry an identifier, in 27 languages: ``{}`` is where it stands.

Words stand on both sides of ``{}``, so that an identifier can also be glued to them; there are no
digits, names or addresses in the sentences, so that whatever is redacted in them is a mistake.
"""

from __future__ import annotations

import random
import unicodedata

CARRIERS: dict[str, tuple[str, ...]] = {
    "de": (
        "Bitte schreiben Sie an {} und legen Sie eine Kopie bei.",
        "Im Protokoll steht {} gleich neben der Unterschrift.",
        "Wer den Hund gefunden hat (wir suchen {}), melde sich im Laden.",
    ),
    "fr": (
        "Pour toute question, adressez-vous à {} avant la fin du mois.",
        "Le dossier de {} a été classé sans suite par le tribunal.",
        "Nous avons noté : {} ; merci de vérifier.",
    ),
    "it": (
        "Per informazioni si prega di contattare {} entro la settimana prossima.",
        "Nel verbale compare {} accanto alla firma.",
        "La redazione ha ricevuto da {} una lunga lettera.",
    ),
    "rm": (
        "Per dumondas pudais vus contactar {} avant la fin da l'emna.",
        "En il protocol stat {} sper la suttascripziun.",
        "La vischnanca ha scrit a {} pervi da la via nova.",
    ),
    "en": (
        "For questions about the lease write to {} before the weekend.",
        "The minutes list {} next to the signature.",
        "Somebody (it was {}) left the window open all night.",
    ),
    "es": (
        "Para cualquier duda escriba a {} antes del viernes.",
        "En el acta aparece {} junto a la firma.",
        "El vecino dijo que {} era lo único que recordaba.",
    ),
    "pt": (
        "Em caso de dúvida fale com {} antes de sexta-feira.",
        "Na ata consta {} ao lado da assinatura.",
        "O jornal publicou {} sem pedir licença.",
    ),
    "nl": (
        "Neem voor vragen contact op met {} voor het einde van de week.",
        "In het verslag staat {} naast de handtekening.",
        "De buurman noemde {} en zweeg daarna.",
    ),
    "pl": (
        "W razie pytań prosimy o kontakt: {} – najlepiej przed południem.",
        "W protokole widnieje {} obok podpisu.",
        "Gazeta podała {} bez zgody rodziny.",
    ),
    "cs": (
        "V případě dotazů kontaktujte {} do konce týdne.",
        "V zápisu stojí {} vedle podpisu.",
        "Noviny uvedly {} bez souhlasu rodiny.",
    ),
    "sv": (
        "Vid frågor kontakta {} före helgen.",
        "I protokollet står {} bredvid underskriften.",
        "Grannen nämnde {} och teg sedan.",
    ),
    "fi": (
        "Kysymyksissä ottakaa yhteyttä: {} ennen viikonloppua.",
        "Pöytäkirjassa lukee {} allekirjoituksen vieressä.",
        "Lehti julkaisi {} ilman lupaa.",
    ),
    "hu": (
        "Kérdés esetén keresse: {} még a hétvége előtt.",
        "A jegyzőkönyvben {} szerepel az aláírás mellett.",
        "Az újság közölte, hogy {} nem jelent meg.",
    ),
    "tr": (
        "Sorularınız için lütfen {} ile hafta sonundan önce görüşün.",
        "Tutanakta {} imzanın yanında yazıyor.",
        "Gazete izinsiz olarak {} bilgisini yayımladı.",
    ),
    "ru": (
        "По всем вопросам обращайтесь: {} до конца недели.",
        "В протоколе записано {} рядом с подписью.",
        "Газета напечатала {} без разрешения семьи.",
    ),
    "uk": (
        "З усіх питань звертайтеся: {} до кінця тижня.",
        "У протоколі записано {} поруч із підписом.",
        "Газета надрукувала {} без дозволу родини.",
    ),
    "el": (
        "Για απορίες επικοινωνήστε με {} πριν από το τέλος της εβδομάδας.",
        "Στα πρακτικά αναφέρεται {} δίπλα στην υπογραφή.",
        "Η εφημερίδα δημοσίευσε {} χωρίς άδεια.",
    ),
    "hy": (
        "Հարցերի դեպքում դիմեք {} մինչև շաբաթվա վերջ։",
        "Արձանագրության մեջ գրված է {} ստորագրության կողքին։",
        "Թերթը հրապարակել է {} առանց թույլտվության։",
    ),
    "ka": (
        "კითხვების შემთხვევაში მიმართეთ {} კვირის ბოლომდე.",
        "ოქმში წერია {} ხელმოწერის გვერდით.",
        "გაზეთმა გამოაქვეყნა {} ნებართვის გარეშე.",
    ),
    "ar": (
        "للاستفسار يرجى التواصل مع {} قبل نهاية الأسبوع.",
        "ورد في المحضر {} بجانب التوقيع.",
        "نشرت الصحيفة {} بدون إذن.",
    ),
    "he": (
        "בכל שאלה נא לפנות אל {} לפני סוף השבוע.",
        "בפרוטוקול כתוב {} ליד החתימה.",
        "העיתון פרסם את {} ללא רשות.",
    ),
    "zh": (
        "如有疑问，请联系 {} 并附上复印件。",
        "记录里写着：{}，就在签名旁边。",
        "报纸未经许可刊登了“{}”这一条。",
    ),
    "ja": (
        "ご質問は {} までお願いします。",
        "議事録には「{}」と書かれています。",
        "連絡先は、{}、となっております。",
    ),
    "ko": (
        "문의 사항은 {} 앞으로 보내 주십시오.",
        "회의록에는 {} 라고 적혀 있습니다.",
        "신문은 허락 없이 ({}) 정보를 실었습니다.",
    ),
    "hi": (
        "किसी भी प्रश्न के लिए {} से सप्ताह के अंत तक संपर्क करें।",
        "कार्यवृत्त में {} हस्ताक्षर के पास लिखा है।",
        "अख़बार ने बिना अनुमति {} को छाप दिया।",
    ),
    "th": (
        "หากมีคำถามกรุณาติดต่อ {} ก่อนสิ้นสัปดาห์",
        "ในรายงานเขียนว่า {} ข้างลายเซ็น",
        "หนังสือพิมพ์ลงข่าว “{}” โดยไม่ได้รับอนุญาต",
    ),
    "id": (
        "Untuk pertanyaan silakan hubungi {} sebelum akhir pekan.",
        "Dalam notulen tertulis {} di samping tanda tangan.",
        "Koran itu memuat {} tanpa izin.",
    ),
}


def carried(
    written: str, rng: random.Random, *, glue: bool = False, languages: tuple[str, ...] = ()
) -> tuple[str, int]:
    """A sentence around ``written`` (of one of these languages, or of any), and where in it
    ``written`` begins."""
    language = rng.choice(languages or tuple(CARRIERS))
    before, _, behind = rng.choice(CARRIERS[language]).partition("{}")
    if glue:
        before, behind = glued(before, behind)
        if not before[-2].isalpha():  # a word of one letter, which the filter takes for an initial
            return carried(written, rng, glue=glue, languages=languages)
    return f"{before}{written}{behind}", len(before)


def glued(before: str, behind: str) -> tuple[str, str]:
    """Without the spaces and the punctuation that part an identifier from the words around it."""
    while unicodedata.category(before[-1])[0] in "PZ":
        before = before[:-1]
    while unicodedata.category(behind[0])[0] in "PZ":
        behind = behind[1:]
    return before, behind
