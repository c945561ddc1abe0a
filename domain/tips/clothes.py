"""What a small child needs on outdoors, by the weather: the tool `clothes`.

Rules of thumb of Norwegian parents and kindergartens, no science: layers, wool next to the skin,
and something on top that stops wind and water.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

COLDEST, WARMEST = -30, 35
# So many degrees colder is it counted to be.
WIND, STILL = 3, 5


class Weather(StrEnum):
    """What comes from above."""

    DRY = "dry"
    RAIN = "rain"
    SNOW = "snow"


class Wear(StrEnum):
    """A piece of clothing, or two that belong together."""

    SHORTS = "shorts"
    THIN = "thin"
    THIN_WOOL = "thin_wool"
    WARM_WOOL = "warm_wool"
    JUMPER = "jumper"
    FLEECE = "fleece"
    THICK_WOOL = "thick_wool"
    JACKET = "jacket"
    SHELL = "shell"
    RAIN_SUIT = "rain_suit"
    WINTER_SUIT = "winter_suit"
    SUN_HAT = "sun_hat"
    THIN_HAT = "thin_hat"
    HAT = "hat"
    BALACLAVA = "balaclava"
    NECK = "neck"
    THIN_MITTENS = "thin_mittens"
    WATERPROOF_MITTENS = "waterproof_mittens"
    WARM_MITTENS = "warm_mittens"
    TWO_MITTENS = "two_mittens"
    SANDALS = "sandals"
    TRAINERS = "trainers"
    WELLIES = "wellies"
    WARM_WELLIES = "warm_wellies"
    WINTER_BOOTS = "winter_boots"


@dataclass(frozen=True)
class Outfit:
    """What to put on, from the skin outwards. `counted_as` is the temperature it was chosen for."""

    counted_as: int
    inner: tuple[Wear, ...]
    middle: tuple[Wear, ...]
    outer: tuple[Wear, ...]
    ends: tuple[Wear, ...]


# From this temperature up: next to the skin, between, outermost, and head, hands and feet.
_DRY: tuple[tuple[int, tuple[tuple[Wear, ...], ...]], ...] = (
    (20, ((Wear.SHORTS,), (), (), (Wear.SUN_HAT, Wear.SANDALS))),
    (15, ((Wear.THIN,), (), (Wear.JACKET,), (Wear.TRAINERS,))),
    (10, ((Wear.THIN,), (Wear.JUMPER,), (Wear.SHELL,), (Wear.THIN_HAT, Wear.TRAINERS))),
    (
        4,
        (
            (Wear.THIN_WOOL,),
            (Wear.FLEECE,),
            (Wear.SHELL,),
            (Wear.HAT, Wear.THIN_MITTENS, Wear.TRAINERS),
        ),
    ),
    (
        -2,
        (
            (Wear.THIN_WOOL,),
            (Wear.FLEECE,),
            (Wear.WINTER_SUIT,),
            (Wear.HAT, Wear.WARM_MITTENS, Wear.WINTER_BOOTS),
        ),
    ),
    (
        -10,
        (
            (Wear.WARM_WOOL,),
            (Wear.THICK_WOOL,),
            (Wear.WINTER_SUIT,),
            (Wear.HAT, Wear.NECK, Wear.WARM_MITTENS, Wear.WINTER_BOOTS),
        ),
    ),
)
_COLDER = (
    (Wear.WARM_WOOL,),
    (Wear.THICK_WOOL, Wear.FLEECE),
    (Wear.WINTER_SUIT,),
    (Wear.BALACLAVA, Wear.TWO_MITTENS, Wear.WINTER_BOOTS),
)


def outfit(temperature: int, weather: Weather, *, wind: bool, still: bool) -> Outfit:
    """What to put on at this temperature (Celsius). `still` is for a child that sits in a pram or
    a sledge, and does not keep itself warm."""
    felt = temperature - WIND * wind - STILL * still
    layers = next((layers for lowest, layers in _DRY if felt >= lowest), _COLDER)
    inner, middle, outer, ends = layers
    if weather is Weather.RAIN:
        outer, ends = _against_rain(felt, outer, ends)
    elif weather is Weather.SNOW:
        outer, ends = _against_snow(outer, ends)
    return Outfit(felt, inner, middle, outer, ends)


def _against_rain(
    felt: int, outer: tuple[Wear, ...], ends: tuple[Wear, ...]
) -> tuple[tuple[Wear, ...], tuple[Wear, ...]]:
    """Rain clothes are the outermost layer, or go over a lined suit when it is cold."""
    lined = tuple(one for one in outer if one is Wear.WINTER_SUIT)
    wet = {
        Wear.SUN_HAT: None,
        Wear.SANDALS: Wear.WELLIES,
        Wear.TRAINERS: Wear.WELLIES if felt >= 10 else Wear.WARM_WELLIES,
        Wear.WINTER_BOOTS: Wear.WARM_WELLIES,
        Wear.THIN_MITTENS: Wear.WATERPROOF_MITTENS,
        Wear.WARM_MITTENS: Wear.WATERPROOF_MITTENS,
    }
    changed = (wet.get(one, one) for one in ends)
    return (*lined, Wear.RAIN_SUIT), tuple(one for one in changed if one)


def _against_snow(
    outer: tuple[Wear, ...], ends: tuple[Wear, ...]
) -> tuple[tuple[Wear, ...], tuple[Wear, ...]]:
    """Snow gets into shoes and thin mittens, and melts there."""
    boots = {
        Wear.SUN_HAT: Wear.THIN_HAT,
        Wear.SANDALS: Wear.WARM_WELLIES,
        Wear.TRAINERS: Wear.WINTER_BOOTS,
        Wear.THIN_MITTENS: Wear.WATERPROOF_MITTENS,
    }
    return outer or (Wear.SHELL,), tuple(boots.get(one, one) for one in ends)
