"""Which language a short text is in, told by its commonest words alone."""

from __future__ import annotations

import re

_LAST_LATIN = 0x24F
_WORDS = {
    "en": """a the is are was were be been of and to in it you that he she they we his her my your this these those with
        for on at by from have has had do does did not will would can could there their what where when who how why
        which an if but or so very i am me him them our us about after before please more some any all just like""",
    "pt": """a o os um uma uns umas do da dos das no na nos nas em ao aos à às não é são foi foram ser está estão estou
        eu você vocês ele ela eles elas nós meu minha seu sua isso isto este esta com por para pelo pela mais muito
        muita também já onde quando quem como qual porque que tem tenho temos há fica hoje ontem amanhã bom boa dia
        obrigado obrigada depois antes ainda mas ou e se vai vou gosto""",
    "es": """a el los las un unos una unas del y en al está están estoy yo usted ustedes él ella ellos ellas nosotros
        mi su esto este esta con por para muy también dónde cuándo quién cómo cuál porque que hay hoy ayer mañana
        bueno buena gracias pero o la es son fue ser tiene tengo donde buenos buenas días hola""",
    "fr": """le la les un une des du et en au aux est sont était suis je tu il elle nous vous ils elles mon ma mes
        son sa ses ce cette ces avec pour par très aussi où quand qui comment que quoi pas ne y a bonjour merci
        mais ou dans sur monde""",
    "de": """der die das ein eine einen dem den des und ist sind war ich du er sie wir ihr mein meine sein seine mit
        für von zu auf nicht auch sehr wo wann wer wie was warum hat haben habe guten morgen tag danke aber oder
        im am""",
    "it": """a il lo gli le un uno una del della dei delle e in al alla è sono era io tu lui lei noi voi loro mio mia
        suo sua questo questa con per molto anche dove quando chi come quale perché che non ciao grazie ma o di
        buongiorno""",
}
_COMMON = {name: frozenset(words.split()) for name, words in _WORDS.items()}


def language(text: str) -> str | None:
    """The language that has most of the text's words among its commonest; "?" for a script that is not Latin.

    None when nothing tells, as in a single rare word.

    >>> [language(t) for t in ("Where is the house?", "Onde fica a casa?", "¿Dónde está la casa?", "cat", "你好世界")]
    ['en', 'pt', 'es', None, '?']
    """
    letters = [c for c in text if c.isalpha()]
    if sum(ord(c) > _LAST_LATIN for c in letters) * 2 > len(letters):
        return "?"
    words = re.findall(r"[^\W\d_]+", text.lower())
    counts = {name: sum(word in common for word in words) for name, common in _COMMON.items()}
    best = max(counts.values())
    leaders = [name for name, count in counts.items() if count == best]
    return leaders[0] if best and len(leaders) == 1 else None
