"""Settings: nothing starts with a secret missing, and nothing starts half understood."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from domain.ledger.notes import KeyType, SignerKey
from settings import ROOT, Settings, SettingsError

LOG_KEY = SignerKey("samtykke.example/consent", KeyType.LOG, bytes(range(64, 96)))
SECOND = SignerKey("samtykke.example/consent", KeyType.LOG, bytes(range(96, 128)))
WITNESS = SignerKey("witness.example/w", KeyType.WITNESS, bytes(range(128, 160)))
ASKED = f"https://witness.example {WITNESS.verifier}"
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
        "LOG_KEYS": LOG_KEY.encode(),
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


@pytest.mark.parametrize(
    "name", ["BASE_URL", "DATABASE_URL", "MAIL_URL", "MAIL_FROM", "LOG_KEYS", *SECRETS]
)
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
    with pytest.raises(SettingsError):
        Settings.from_environment(production(tmp_path, LOG_KEYS=""))
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
        ("KEY_ENCRYPTION_KEYS", f"1:{KEY},2:{KEY}"),
        ("KEY_ENCRYPTION_KEYS", f"1:{KEY},2:aws-kms:alias/vault"),
        ("VAULT_KEY_FILE", "/srv/vault-keys"),
        ("LOG_KEYS", "PRIVATE+KEY+samtykke.example/consent+00000000+AAAA"),
        ("LOG_KEYS", f"{LOG_KEY.encode()} {LOG_KEY.encode()}"),
        ("LOG_KEYS", WITNESS.encode()),
        ("LOG_KEYS", SignerKey("Samtykke", KeyType.LOG, LOG_KEY.seed).encode()),
        ("WITNESSES", "https://witness.example"),
        ("WITNESSES", f"witness.example {WITNESS.verifier}"),
        ("WITNESSES", f"http://witness.example {WITNESS.verifier}"),
        ("WITNESSES", f"https://witness.example:x {WITNESS.verifier}"),
        ("WITNESSES", f"https://witness.example?a=b {WITNESS.verifier}"),
        ("WITNESSES", f"https://witness.example {LOG_KEY.verifier}"),
        ("WITNESSES", f"https://witness.example {WITNESS.verifier}x"),
        ("WITNESSES", f"{ASKED} {ASKED}"),
        ("MARKETING_FROM", "Lillemini"),
        ("MARKETING_FROM", "Tips <HEI@lillemini.example>"),
        *(("MARKETING_FROM", f"Tips <{one}@a.example>") for one in ("tæps", '"a b"', "a?b")),
        ("MARKETING_FROM", "A <a@a.example>, B <b@b.example>"),
        ("DKIM_SELECTOR", "s2026"),
        ("DKIM_KEY_FILE", "/nowhere/dkim.pem"),
    ],
)
def test_a_bad_value_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    """The message names the variable, and never repeats a secret."""
    with pytest.raises(SettingsError, match=name) as caught:
        Settings.from_environment(production(tmp_path, **{name: value}))
    if name in (*SECRETS, "LOG_KEYS"):
        assert value not in str(caught.value)


def test_a_base_address_ends_without_a_slash(tmp_path: Path) -> None:
    """Links are made by adding a path to it."""
    site = Settings.from_environment(production(tmp_path, BASE_URL="https://samtykke.example/"))
    assert site.base_url == "https://samtykke.example"


@pytest.mark.requirement(80)
def test_settings_can_be_printed(tmp_path: Path) -> None:
    """A traceback or a log line that holds the settings holds no secret and no password."""
    printed = repr(Settings.from_environment(production(tmp_path)))
    secret = (*SECRETS.values(), LOG_KEY.encode(), "hunter2", r"\x00\x01\x02", r"@ABC")
    assert not any(value in printed for value in secret)


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
    assert first.log == Settings.from_environment(development(instance)).log
    assert sorted(path.name for path in instance.iterdir()) == [
        "log-keys",
        "secrets.toml",
        "vault-keys",
    ]
    for name in ("log-keys", "secrets.toml", "vault-keys"):
        assert stat.S_IMODE((instance / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(instance.stat().st_mode) == 0o700


@pytest.mark.requirement(82)
@pytest.mark.requirement(41, 42)
def test_newsletters_have_a_sender_of_their_own_and_mails_a_key(tmp_path: Path) -> None:
    """Neither by itself; the key in a file that nobody else can read."""
    site = Settings.from_environment(production(tmp_path))
    assert (site.marketing_from, site.dkim_key_file) == (None, None)
    path = tmp_path / "dkim.pem"
    path.touch(mode=0o644)
    sender = "Tips <tips@nytt.lillemini.example>"
    named = {"DKIM_KEY_FILE": str(path), "DKIM_SELECTOR": "s2026", "MARKETING_FROM": sender}
    with pytest.raises(SettingsError, match="chmod 600"):
        Settings.from_environment(production(tmp_path, **named))
    path.chmod(0o600)
    site = Settings.from_environment(production(tmp_path, **named))
    assert (site.marketing_from, site.dkim_key_file, site.dkim_selector) == (sender, path, "s2026")


@pytest.mark.parametrize("name", ["secrets.toml", "log-keys", "vault-keys"])
def test_secrets_that_others_can_read_are_refused(tmp_path: Path, name: str) -> None:
    """The message says which file and what to run."""
    Settings.from_environment(development(tmp_path))
    path = tmp_path / name
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


def test_production_reads_the_keys_of_the_vault_from_a_file(tmp_path: Path) -> None:
    """It must be there, and private; a process that runs reads it again when it changes. Keys in
    an existing file of secrets go on being used, and have no file to which one could be added."""
    path = tmp_path / "keys"
    unset = production(tmp_path, KEY_ENCRYPTION_KEYS="", VAULT_KEY_FILE=str(path))
    with pytest.raises(SettingsError, match="VAULT_KEY_FILE"):
        Settings.from_environment(unset)
    path.write_text(f"3 key {KEY} 2026-11-23T00:00:00Z\n")
    path.chmod(0o600)
    site = Settings.from_environment(unset)
    assert (site.keys.epochs, site.vault_key_file) == ({3: bytes(range(32))}, path)
    assert KEY not in repr(site)
    path.write_text("3 key\n")
    with pytest.raises(SettingsError, match=r"VAULT_KEY_FILE: .*line 1"):
        Settings.from_environment(unset)
    old = tmp_path / "secrets.toml"
    old.write_text("".join(f'{name.lower()} = "{value}"\n' for name, value in SECRETS.items()))
    old.chmod(0o600)
    site = Settings.from_environment(development(tmp_path))
    assert (site.keys.epochs, site.vault_key_file) == ({1: bytes(range(32))}, None)
    assert not (tmp_path / "vault-keys").exists()


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
    assert [(loser.keys, loser.log)] == [(winner.keys, winner.log) for winner in winners]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "log-keys",
        "secrets.toml",
        "vault-keys",
    ]


def test_simultaneous_first_runs_agree(tmp_path: Path) -> None:
    """Server and worker may start together in a fresh clone."""
    program = (
        "from settings import Settings; site = Settings.from_environment();"
        "print(site.keys.signing_key, site.log.signers[0].encode())"
    )
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


def test_the_log_of_development_is_named_after_its_address(tmp_path: Path) -> None:
    """Its first key stays when the port is another one the next day: the log has one origin."""
    site = Settings.from_environment(development(tmp_path))
    assert [signer.name for signer in site.log.signers] == ["127.0.0.1:5000/consent"]
    assert site.log_key_file == tmp_path / "log-keys"
    later = Settings.from_environment(development(tmp_path, PORT="8080"))
    assert later.log.signers == site.log.signers


def test_production_reads_the_keys_of_the_log_from_the_environment(tmp_path: Path) -> None:
    """Several, while one follows another; there is no file then to which one could be added."""
    keys = f"{LOG_KEY.encode()}\n{SECOND.encode()}"
    site = Settings.from_environment(production(tmp_path, LOG_KEYS=keys))
    assert site.log.signers == (LOG_KEY, SECOND)
    assert site.log_key_file is None
    assert site.log.high_water == tmp_path / "high-water"


def test_production_reads_the_keys_of_the_log_from_a_file(tmp_path: Path) -> None:
    """LOG_KEY_FILE is for systems that mount secrets; it must be there, and private."""
    path = tmp_path / "keys"
    unset = production(tmp_path, LOG_KEYS="", LOG_KEY_FILE=str(path), HIGH_WATER_FILE="/srv/high")
    with pytest.raises(SettingsError, match="LOG_KEY_FILE"):
        Settings.from_environment(unset)
    path.write_text(f"{LOG_KEY.encode()}\n{SECOND.encode()}\n")
    path.chmod(0o600)
    site = Settings.from_environment(unset)
    assert site.log.signers == (LOG_KEY, SECOND)
    assert site.log_key_file == path
    assert site.log.high_water == Path("/srv/high")


def test_a_process_may_have_no_key_of_the_log(tmp_path: Path) -> None:
    """Where LOG_KEYS says so, and not by leaving it out; no file is read or made."""
    site = Settings.from_environment(production(tmp_path, LOG_KEYS="none"))
    assert (site.log.signers, site.log_key_file) == ((), None)
    made = development(tmp_path / "new", LOG_KEYS=" none ")
    assert Settings.from_environment(made).log.signers == ()
    assert not (tmp_path / "new" / "log-keys").exists()


def test_witnesses_are_pairs_of_address_and_key(tmp_path: Path) -> None:
    """Nobody is asked unless the operator says so; on this machine it may be without TLS."""
    assert Settings.from_environment(production(tmp_path)).log.witnesses == ()
    here = SignerKey("here.example", KeyType.WITNESS, bytes(32)).verifier
    asked = f"{ASKED.replace(' ', '/w/ ', 1)}\n http://127.0.0.1:8100 {here}"
    witnesses = Settings.from_environment(production(tmp_path, WITNESSES=asked)).log.witnesses
    assert [witness.url for witness in witnesses] == [
        "https://witness.example/w",
        "http://127.0.0.1:8100",
    ]
    assert [witness.key for witness in witnesses] == [WITNESS.verifier, here]
