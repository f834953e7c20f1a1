"""The settings of the original that come along to a restored server, and the files in which it reads them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

# What must be at least what it was on the primary, else a hot standby refuses to start; pg_controldata knows it.
AT_LEAST: Final = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}
# A server of its own has its own: places, addresses, log, what it archives, whom it follows and who follows it.
_ITS_OWN = (
    "data_directory", "config_file", "hba_file", "ident_file", "external_pid_file", "stats_temp_directory",
    "listen_addresses", "port", "bonjour", "bonjour_name",
    "unix_socket_directories", "unix_socket_group", "unix_socket_permissions",
    "logging_collector", "log_destination", "log_directory", "log_filename", "log_file_mode", "log_rotation_age",
    "log_rotation_size", "log_truncate_on_rotation",
    "archive_mode", "archive_command", "archive_library", "archive_cleanup_command", "restore_command",
    "recovery_end_command", "recovery_min_apply_delay", "recovery_target", "recovery_target_action",
    "recovery_target_inclusive", "recovery_target_lsn", "recovery_target_name", "recovery_target_time",
    "recovery_target_timeline", "recovery_target_xid",
    "hot_standby", "primary_conninfo", "primary_slot_name", "promote_trigger_file", "sync_replication_slots",
    # Its standbys are not those of the original: every commit would wait for them.
    "synchronous_standby_names", "synchronized_standby_slots",
)  # fmt: skip
_FILES = ("ssl_ca_file", "ssl_cert_file", "ssl_crl_file", "ssl_key_file", "ssl_dh_params_file")
# Who lost the rules lets in whoever has a password, of either kind, rather than nobody.
RULES_WHEN_UNKNOWN: Final = "host all all all md5\nhost replication all all md5\n"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of pg_hba.conf, as the view pg_hba_file_rules shows it."""

    kind: str
    databases: tuple[str, ...]
    users: tuple[str, ...]
    address: str | None
    netmask: str | None
    method: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a set records of its server: all that differs from the default, and who is let in."""

    values: Mapping[str, str]
    archive_command: str
    archive_library: str
    rules: str | None  # the text of pg_hba.conf; None where we may not read it
    names: str | None  # the text of pg_ident.conf


def keep(settings: Mapping[str, str], rules: str | None, names: str | None) -> Kept:
    """What is worth keeping of a server's settings; what holds a secret or a place of its own is not."""
    values = {name: value for name, value in sorted(settings.items()) if name not in _ITS_OWN}
    command = settings.get("archive_command", "")
    return Kept(values, "" if command == "(disabled)" else command, settings.get("archive_library", ""), rules, names)


def show_rules(rules: Sequence[Rule]) -> str:
    """Rules as the text of a pg_hba.conf."""
    return "".join(f"{_line(rule)}\n" for rule in rules)


def _line(rule: Rule) -> str:
    users, databases = (",".join(_name(each) for each in names) for names in (rule.users, rule.databases))
    place = [part for part in (rule.address, rule.netmask) if part is not None]
    # Shown by the view and not understood in the file, where it can only be a part of ldapurl.
    options = [_quoted(option) for option in rule.options if not option.startswith("ldapscope=")]
    return " ".join([rule.kind, databases, users, *place, rule.method, *options])


def _name(name: str) -> str:
    """A name of a rule; the sign of a group or of a regular expression has its meaning outside of quotes only."""
    sign, rest = (name[0], name[1:]) if name[:1] in ("+", "/") else ("", name)
    return sign + _quoted(rest)


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_.=:/-]+", text) else '"{}"'.format(text.replace('"', '""'))


def settings_of_side(kept: Kept, control: Mapping[str, str], files: Mapping[str, bool]) -> dict[str, str]:
    """The original's settings as a side beside it can have them.

    `files` says of each file that a setting names whether it is there. Where a certificate is missing, ssl is off:
    the server would not start. The machine's huge pages may all be the original's, so they are tried only.
    """
    settings = dict(kept.values)
    if not all(files.get(settings[name], False) for name in _FILES if settings.get(name)):
        settings = {name: value for name, value in settings.items() if name not in _FILES} | {"ssl": "off"}
    if settings.get("huge_pages") == "on":
        settings["huge_pages"] = "try"
    for name, known in AT_LEAST.items():
        if known in control:
            settings[name] = str(max(int(control[known]), int(settings.get(name, 0))))
    return settings


def named_files(kept: Kept) -> tuple[str, ...]:
    """The files that the original's settings name and without which a server would not start."""
    return tuple(kept.values[name] for name in _FILES if kept.values.get(name))


def show_settings(settings: Mapping[str, str]) -> str:
    """Settings as lines of a postgresql.conf."""
    return "".join(f"{name} = '{_escaped(value)}'\n" for name, value in settings.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n")
