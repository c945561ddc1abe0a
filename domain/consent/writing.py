"""Writes purposes and processors out as sections of a notice, in Markdown.

The headings stand here and not in the catalogue: they are part of a document that people
rely on, and a typo mended in a catalogue must not change it.
"""

from __future__ import annotations

from datetime import date

from domain.consent.purposes import Purpose, PurposeRegister

_HEADINGS = {
    "nb": {
        "data": "Opplysninger",
        "basis": "Behandlingsgrunnlag",
        "recipients": "Mottakere",
        "retention": "Hvor lenge",
        "mandatory": "Må du oppgi dem?",
        "nobody": "Ingen utenfor {controller}",
        "does": "Hva de gjør",
        "company": "Selskapets land",
        "stored": "Lagret i",
        "transfer": "Overføring ut av EØS",
        "none": "ingen",
    },
    "nn": {
        "data": "Opplysningar",
        "basis": "Behandlingsgrunnlag",
        "recipients": "Mottakarar",
        "retention": "Kor lenge",
        "mandatory": "Må du oppgi dei?",
        "nobody": "Ingen utanfor {controller}",
        "does": "Kva dei gjer",
        "company": "Landet til selskapet",
        "stored": "Lagra i",
        "transfer": "Overføring ut av EØS",
        "none": "inga",
    },
    "en": {
        "data": "Data",
        "basis": "Lawful basis",
        "recipients": "Recipients",
        "retention": "How long",
        "mandatory": "Do you have to give them?",
        "nobody": "Nobody outside {controller}",
        "does": "What they do",
        "company": "The company's country",
        "stored": "Stored in",
        "transfer": "Transfer out of the EEA",
        "none": "none",
    },
}


def write_out(text: str, register: PurposeRegister, locale: str, *, on: date) -> str:
    """The document of a day, with `[[purposes]]` and `[[processors]]` replaced by what they
    stand for."""
    told = register.told_on(on)
    blocks = {
        "[[purposes]]": lambda: "\n\n".join(_purpose(p, register, locale) for p in told),
        "[[processors]]": lambda: _processors(register, locale),
    }
    return "\n".join(
        blocks[line.strip()]() if line.strip() in blocks else line for line in text.splitlines()
    )


def _purpose(purpose: Purpose, register: PurposeRegister, locale: str) -> str:
    words, text = _HEADINGS[locale], purpose.text[locale]
    names = {processor.id: processor.name for processor in register.processors}
    recipients = ", ".join(names[one] for one in purpose.recipients)
    nobody = words["nobody"].format(controller=register.operator.legal_name)
    facts = (
        ("data", text.data),
        ("basis", text.basis),
        ("recipients", recipients or nobody),
        ("retention", text.retention),
        ("mandatory", text.mandatory),
    )
    lines = [f"### {text.name}", "", text.purpose, ""]
    return "\n".join([*lines, *(f"- **{words[key]}:** {value}" for key, value in facts)])


def _processors(register: PurposeRegister, locale: str) -> str:
    words = _HEADINGS[locale]
    return "\n\n".join(
        "\n".join(
            (
                f"### {processor.name}",
                "",
                f"- **{words['does']}:** {processor.does[locale]}",
                f"- **{words['data']}:** {processor.data[locale]}",
                f"- **{words['company']}:** {processor.country}",
                f"- **{words['stored']}:** {processor.region}",
                f"- **{words['transfer']}:** {processor.transfer or words['none']}",
            )
        )
        for processor in register.processors
    )
