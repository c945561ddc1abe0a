"""Settings: nothing starts with a secret missing, and nothing starts half understood."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from settings import ROOT, Settings, SettingsError

KEY = base64.b64encode(bytes(range(32))).decode()
SECRETS = {"SIGNING_KEY": "s" * 43, "LOOKUP_KEY": KEY, "KEY_ENCRYPTION_KEYS": f"1:{KEY}"}


def production(tmp_path: Path, **changes: str) -> dict[str, str]:
    """An environment that production starts in, with changes; an empty text unsets."""
    complete = {
        "BASE_URL": "https://samtykke.example",
        "DATABASE_URL": "postgresql+psycopg://app:hunter2@db/samtykke",
        "MAIL_URL": "smtp://site:hunter2@mail.example",
        "MAIL_FROM": "Lillemini <hei@lillemini.example>",
        "INSTANCE_PATH": str(tmp_path),
        **SECRETS,
        **changes,
    }
    return {name: value for name, value in complete.items() if value}


def development(tmp_path: Path, **changes: str) -> dict[str, str]:
    """An environment for a developer's machine, with changes."""
    return {"SAMTYKKE_ENV": "development", "INSTANCE_PATH": str(tmp_path), **changes}


def test_production_starts_with_everything_set(tmp_path: Path) -> None:
    """A complete environment is enough; production is what there is unless one says otherwise."""
    site = Settings.from_environment(production(tmp_path))
    assert site.environment == "production"
    assert not site.development
    assert site.secure
    assert site.keys.epochs == {1: bytes(range(32))}
    assert site.owner_url == site.database_url


@pytest.mark.parametrize("name", ["BASE_URL", "DATABASE_URL", "MAIL_URL", "MAIL_FROM", *SECRETS])
def test_production_does_not_start_without(tmp_path: Path, name: str) -> None:
    """The message names what is missing, and no default steps in for it."""
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment(production(tmp_path, **{name: ""}))


def test_all_missing_secrets_are_named_at_once(tmp_path: Path) -> None:
    """Nobody should have to start three times to learn of three secrets."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(production(tmp_path, **dict.fromkeys(SECRETS, "")))
    assert all(name in str(caught.value) for name in SECRETS)


def test_production_never_makes_secrets(tmp_path: Path) -> None:
    """Secrets that come and go with a container would lose everything sealed under them."""
    with pytest.raises(SettingsError):
        Settings.from_environment(production(tmp_path, **dict.fromkeys(SECRETS, "")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SAMTYKKE_ENV", "staging"),
        ("BASE_URL", "samtykke.example"),
        ("MARKETING_AGE", "fifteen"),
        ("REGISTRATION_AGE", "-1"),
        ("LINK_MINUTES", "1.5"),
        ("TRUSTED_PROXIES", "yes"),
        ("SIGNING_KEY", "short"),
        ("LOOKUP_KEY", "not base64!"),
        ("LOOKUP_KEY", base64.b64encode(b"sixteen bytes...").decode()),
        ("KEY_ENCRYPTION_KEYS", KEY),
        ("KEY_ENCRYPTION_KEYS", f"0:{KEY}"),
        ("KEY_ENCRYPTION_KEYS", f"65536:{KEY}"),
        ("KEY_ENCRYPTION_KEYS", f"one:{KEY}"),
        ("KEY_ENCRYPTION_KEYS", f"1:{KEY},"),
        ("KEY_ENCRYPTION_KEYS", f"1:{KEY},1:{KEY}"),
        ("KEY_ENCRYPTION_KEYS", "1:AAAA"),
    ],
)
def test_a_bad_value_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    """The message names the variable, and never repeats a secret."""
    with pytest.raises(SettingsError, match=name) as caught:
        Settings.from_environment(production(tmp_path, **{name: value}))
    if name in SECRETS:
        assert value not in str(caught.value)


def test_a_base_address_ends_without_a_slash(tmp_path: Path) -> None:
    """Links are made by adding a path to it."""
    site = Settings.from_environment(production(tmp_path, BASE_URL="https://samtykke.example/"))
    assert site.base_url == "https://samtykke.example"


@pytest.mark.requirement(80)
def test_settings_can_be_printed(tmp_path: Path) -> None:
    """A traceback or a log line that holds the settings holds no secret and no password."""
    printed = repr(Settings.from_environment(production(tmp_path)))
    assert not any(value in printed for value in (*SECRETS.values(), "hunter2", r"\x00\x01\x02"))


def test_development_needs_nothing(tmp_path: Path) -> None:
    """A newcomer starts with an empty environment and an empty folder."""
    site = Settings.from_environment(development(tmp_path / "instance"))
    assert site.development
    assert site.base_url == "http://127.0.0.1:5000"
    assert site.database_url == f"sqlite:///{tmp_path}/instance/samtykke.db"
    assert site.mail_url == f"folder:{tmp_path}/instance/mail"


def test_links_of_development_lead_to_its_port(tmp_path: Path) -> None:
    """With PORT=8080 the mailed links open the site that sent them."""
    site = Settings.from_environment(development(tmp_path, PORT="8080"))
    assert site.base_url == "http://127.0.0.1:8080"


@pytest.mark.requirement(82)
def test_development_keeps_its_secrets_to_itself(tmp_path: Path) -> None:
    """They are made once, stay the same, and nobody else on the machine can read them."""
    instance = tmp_path / "instance"
    first = Settings.from_environment(development(instance))
    assert first.keys == Settings.from_environment(development(instance)).keys
    assert [path.name for path in instance.iterdir()] == ["secrets.toml"]
    assert stat.S_IMODE((instance / "secrets.toml").stat().st_mode) == 0o600
    assert stat.S_IMODE(instance.stat().st_mode) == 0o700


@pytest.mark.requirement(82)
def test_secrets_that_others_can_read_are_refused(tmp_path: Path) -> None:
    """The message says which file and what to run."""
    Settings.from_environment(development(tmp_path))
    path = tmp_path / "secrets.toml"
    path.chmod(0o640)
    with pytest.raises(SettingsError, match=f"chmod 600 {path}"):
        Settings.from_environment(development(tmp_path))


def test_production_reads_a_file_of_secrets(tmp_path: Path) -> None:
    """SECRETS_FILE is for systems that mount secrets; the environment wins over it."""
    path = tmp_path / "run-secrets.toml"
    path.write_text("".join(f'{name.lower()} = "{value}"\n' for name, value in SECRETS.items()))
    path.chmod(0o600)
    unset = dict.fromkeys(SECRETS, "")
    changes = {**unset, "SECRETS_FILE": str(path), "SIGNING_KEY": "t" * 43}
    site = Settings.from_environment(production(tmp_path, **changes))
    assert site.keys.lookup_key == bytes(range(32))
    assert site.keys.signing_key == "t" * 43


def test_the_quicker_of_two_first_runs_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that lost the race uses the winner's secrets, and leaves no draft behind."""
    link = os.link

    def slow_link(draft: Path, path: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        winners.append(Settings.from_environment(development(tmp_path)))
        link(draft, path)

    winners: list[Settings] = []
    monkeypatch.setattr(os, "link", slow_link)
    loser = Settings.from_environment(development(tmp_path))
    assert [loser.keys] == [winner.keys for winner in winners]
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.toml"]


def test_simultaneous_first_runs_agree(tmp_path: Path) -> None:
    """Server and worker may start together in a fresh clone."""
    program = "from settings import Settings; print(Settings.from_environment().keys.signing_key)"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=development(tmp_path),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    printed = {run.communicate(timeout=30)[0] for run in runs}
    assert len(printed) == 1
    assert len(printed.pop()) > 40
