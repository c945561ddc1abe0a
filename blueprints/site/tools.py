"""The tools that stand on a tip's page: forms that are sent by GET, so that what comes of one has
an address. They ask for nothing about a person, and nothing that is typed is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import request
from flask_babel import lazy_gettext as __
from wtforms import BooleanField, Field, Form, IntegerField, RadioField
from wtforms.fields import SelectChoice, TimeField
from wtforms.validators import StopValidation

from domain.tips import clothes, mornings
from domain.tips.clothes import Wear, Weather
from domain.tips.library import Tool
from domain.tips.mornings import Step

WEAR: Mapping[Wear, Any] = {
    Wear.SHORTS: __("T-shirt and shorts, or a thin dress"),
    Wear.THIN: __("thin jumper and trousers of cotton or thin wool"),
    Wear.THIN_WOOL: __("thin wool: vest and leggings, and socks"),
    Wear.WARM_WOOL: __("wool from head to toe, with wool socks"),
    Wear.JUMPER: __("a jumper that can come off again"),
    Wear.FLEECE: __("fleece or a wool jumper, and trousers"),
    Wear.THICK_WOOL: __("thick wool jumper and wool trousers"),
    Wear.JACKET: __("a thin jacket to take along"),
    Wear.SHELL: __("wind- and waterproof jacket and trousers"),
    Wear.RAIN_SUIT: __("rain jacket and rain trousers"),
    Wear.WINTER_SUIT: __("lined winter suit"),
    Wear.SUN_HAT: __("sun hat"),
    Wear.THIN_HAT: __("thin hat"),
    Wear.HAT: __("warm hat that covers the ears"),
    Wear.BALACLAVA: __("balaclava under a warm hat"),
    Wear.NECK: __("neck warmer"),
    Wear.THIN_MITTENS: __("thin mittens"),
    Wear.WATERPROOF_MITTENS: __("waterproof mittens, with wool inside when it is cold"),
    Wear.WARM_MITTENS: __("lined mittens or wool mittens"),
    Wear.TWO_MITTENS: __("wool mittens with lined mittens over them"),
    Wear.SANDALS: __("sandals"),
    Wear.TRAINERS: __("trainers"),
    Wear.WELLIES: __("wellingtons"),
    Wear.WARM_WELLIES: __("lined wellingtons, or wellingtons with wool socks"),
    Wear.WINTER_BOOTS: __("winter boots with room for wool socks"),
}
STEPS: Mapping[Step, Any] = {
    Step.WAKE: __("Wake up slowly"),
    Step.BREAKFAST: __("Breakfast"),
    Step.WASH: __("Toilet, wash and teeth"),
    Step.DRESS: __("Get dressed"),
    Step.PACK: __("Find what is to come along"),
    Step.OUTDOORS: __("Outdoor clothes and shoes"),
    Step.SPARE: __("Spare time for what always turns up"),
}


class Given:
    """The field must hold a value, in a range if there is one; says what to enter."""

    field_flags = {"required": True}  # noqa: RUF012 - WTForms' own protocol

    def __init__(self, message: Any, within: range | None = None):
        self.message, self.within = message, within

    def __call__(self, form: Form, field: Field) -> None:
        """Stop with the message, and no other, where there is no such value."""
        outside = self.within is not None and field.data not in self.within
        if field.data is None or outside:
            field.errors = []
            raise StopValidation(str(self.message))


class Whole(Given):
    """The same, where nothing typed means none."""

    field_flags: dict[str, bool] = {}  # noqa: RUF012 - WTForms' own protocol

    def __call__(self, form: Form, field: Field) -> None:
        """Take 0 for an empty field."""
        if field.raw_data and not field.raw_data[0].strip():
            field.data, field.errors = 0, []
            return
        super().__call__(form, field)


class ToolForm(Form):
    """A form that changes nothing, so it needs no token against forgery."""

    class Meta(Form.Meta):
        """WTForms' own words are replaced by ours."""

        locales = ()

        def get_translations(self, form: Form) -> None:
            """None: every message comes from the site's catalogue."""


class ClothesForm(ToolForm):
    """The weather, and whether the child will move."""

    temperature = IntegerField(
        __("How many degrees is it outside?"),
        [
            Given(
                __(
                    "Enter whole degrees, from %(lowest)d to %(highest)d",
                    lowest=clothes.COLDEST,
                    highest=clothes.WARMEST,
                ),
                range(clothes.COLDEST, clothes.WARMEST + 1),
            )
        ],
        render_kw={"min": clothes.COLDEST, "max": clothes.WARMEST, "autocomplete": "off"},
    )
    weather = RadioField(
        __("What is the weather like?"),
        [Given(__("Choose the weather"))],
        default=Weather.DRY.value,
        choices=[
            SelectChoice(Weather.DRY.value, __("Dry")),
            SelectChoice(Weather.RAIN.value, __("Rain or sleet")),
            SelectChoice(Weather.SNOW.value, __("Snow")),
        ],
        validate_choice=False,
        filters=[lambda value: value if value in set(Weather) else None],
    )
    wind = BooleanField(__("It is windy"))
    still = BooleanField(__("The child will sit still, in a pram or on a sledge"))

    def answer(self) -> clothes.Outfit:
        """What to put on."""
        return clothes.outfit(
            self.temperature.data,
            Weather(self.weather.data),
            wind=self.wind.data,
            still=self.still.data,
        )


class _MorningForm(ToolForm):
    leave = TimeField(
        __("When do you have to be out of the door?"),
        [Given(__("Enter a time, as 07:30"))],
        render_kw={"autocomplete": "off"},
    )

    def minutes(self) -> list[Field]:
        """The fields of the steps."""
        return [self[step.value] for step in Step]

    def answer(self) -> list[mornings.Line]:
        """The morning, from its beginning."""
        return mornings.plan(self.leave.data, {step: self[step.value].data for step in Step})


def _minutes(step: Step) -> IntegerField:
    message = __(
        "%(what)s: enter whole minutes, from 0 to %(most)d",
        what=STEPS[step],
        most=mornings.MOST_MINUTES,
    )
    return IntegerField(
        STEPS[step],
        [Whole(message, range(mornings.MOST_MINUTES + 1))],
        default=mornings.USUAL[step],
        render_kw={"min": 0, "max": mornings.MOST_MINUTES, "autocomplete": "off"},
    )


MorningForm: type[_MorningForm] = type(
    "MorningForm", (_MorningForm,), {step.value: _minutes(step) for step in Step}
)

_FORMS: Mapping[Tool, Callable[..., Any]] = {
    Tool.CLOTHES: ClothesForm,
    Tool.MORNING: MorningForm,
}


@dataclass(frozen=True)
class Used:
    """A tool on a page: its form, and what came of it when it was filled in rightly."""

    name: Tool
    form: Any
    result: Any = None


def use(tool: Tool) -> Used:
    """The tool as the address asks for it: nothing of it there is an empty form."""
    form = _FORMS[tool]()
    if not any(field.name in request.args for field in form):
        return Used(tool, form)
    form = _FORMS[tool](request.args)
    return Used(tool, form, form.answer() if form.validate() else None)
