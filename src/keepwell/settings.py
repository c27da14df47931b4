"""Every setting of the engineer's file, one line of help each.

Precedence, weakest first: defaults < `keepwell.toml` < `.env` < environment (`KEEPWELL_GATE__CONFIDENCE=0.9`) < flag.
"""

from __future__ import annotations

import difflib
import ipaddress
import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from keepwell.addresses import Address, expanded, known_channel, known_kinds, known_webhook, signing_key
from keepwell.errors import KeepwellError, ProjectNotFound, SettingInvalid, SettingUnknown
from keepwell.hiding import ADDRESSES, HIDDEN, shown

FILE = "keepwell.toml"
PREFIX = "KEEPWELL_"
LOG_FLOOR_DAYS = 183  # Regulation (EU) 2024/1689, articles 19 and 26(6): six months at least
MOST_TRIED = 64  # fits of a search, at each build
SCHEMA_DRAFT = "https://json-schema.org/draft/2020-12/schema"


class _Shown(BaseModel):
    """A table whose repr, which may end up in a log, holds no secret."""

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, value if isinstance(value, BaseModel) else shown(name or "", value)


class Section(_Shown):
    """A table of the file; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSection(Section):
    """Where the scientist's model is."""

    file: str = Field("model.py", description="Python file, relative to this folder, that defines the model.")
    attribute: str = Field("model", description="Name in that file of the keepwell.Model.")
    risk: Literal["low", "medium", "high"] = Field(
        "medium", description="high: a person promotes and rolls back, whatever [promotion] mode says; low and medium: as it says."
    )


class StoreSection(Section):
    """Where the record is kept. Relative paths count from this file's folder."""

    database: str = Field("sqlite:///.keepwell/keepwell.db", description="SQLAlchemy URL of the record.")
    tables: str = Field(".keepwell/tables", description="Folder or object-store URL of the Delta tables.")
    artifacts: str = Field(".keepwell/artifacts", description="Folder or object-store URL of the content-addressed artifacts.")
    journal: str = Field(".keepwell/journal", description="Local folder of the prediction journal; must be on a local disk.")
    flush_commits: int = Field(64, ge=1, description="How many small commits wait in the database before they go to Delta together.")

    @field_validator("database")
    @classmethod
    def _is_a_kind_that_works(cls, value: str) -> str:
        if not value.startswith(("sqlite:", "postgresql:", "postgresql+psycopg:", "postgres:")):
            raise ValueError("the record is kept in sqlite:///FILE or postgresql://USER@HOST/NAME")
        return value


class SourceSection(_Shown):
    """What `gather` receives as `source`; `kind` chooses it, the other names are the source's own."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str = Field("none", description="none, open-meteo, sql, files, http, offutt, or a plugin's name.")


class GatherSection(Section):
    """How new observations are fetched."""

    start: str | None = Field(None, description="First day to gather (ISO date). Without it: 30 days before the first cycle.")
    late_days: float = Field(7, ge=0, description="How far back each gather looks again for late or corrected rows, days.")
    tries: int = Field(4, ge=1, le=20, description="How often a failing source is asked before the cycle goes on without it.")
    wait_s: float = Field(1.0, ge=0, description="First pause between tries, seconds; doubles each time, with jitter.")


class ContractSection(Section):
    """What happens when observations break the contract."""

    file: str = Field("contract.toml", description="The contract people review, relative to this folder.")
    strictness: Literal["off", "note", "quarantine", "stop"] = Field(
        "quarantine", description="off: no check; note: record only; quarantine: set broken rows aside; stop: refuse the batch."
    )
    first_rows: int = Field(200, ge=10, description="Rows that must be there before the first contract is inferred.")
    window_rows: int = Field(60, ge=5, description="Newest rows looked at together for what one row cannot show (unit, null spike).")


class BuildSection(Section):
    """How a version is made."""

    seed: int = Field(7, description="Seed handed to train; part of the step's identity.")
    min_rows: int = Field(500, ge=20, description="Labelled rows needed before the first build.")
    holdout_days: float = Field(365, gt=0, description="Newest labelled days kept from training; evaluation and gate use them.")
    train_days: float | None = Field(None, gt=0, description="Train on at most this many days before the holdout; default all.")
    lookahead_checks: int = Field(6, ge=1, description="Cut points at which features are recomputed to prove they do not look ahead.")


class GateSection(Section):
    """What a challenger must show."""

    metric: str | None = Field(None, description="Metric that decides; default brier (binary) or mae (regression).")
    confidence: float = Field(0.9, gt=0.5, lt=1, description="One-sided confidence that the challenger is better than the champion.")
    min_gain: float = Field(0.0, ge=0, description="Least gain over the champion, as a share of the champion's loss.")
    beat_baselines: bool = Field(True, description="Refuse a challenger that does not beat every naive baseline.")
    max_calibration_error: float | None = Field(0.1, gt=0, description="Largest expected calibration error (binary).")
    max_slice_loss: float | None = Field(
        0.1, gt=0, description="Largest proven loss against the champion on any slice, share of its loss there."
    )
    min_slice_rows: int = Field(50, ge=1, description="Slices with fewer rows are shown but do not decide.")
    max_latency_ms: float | None = Field(None, gt=0, description="Largest median time for one row, milliseconds.")
    max_size_mb: float | None = Field(None, gt=0, description="Largest model file, megabytes.")


class PromotionSection(Section):
    """Who lets a version go live."""

    mode: Literal["auto", "shadow", "approve"] = Field(
        "shadow",
        description="auto: a version that passed the gate becomes champion; shadow: it answers beside the champion first, unseen; "
        "approve: it waits as challenger for a person.",
    )
    error: float = Field(
        0.05, gt=0, lt=0.5, description="Chance that a trial calls a version better, or worse, that is not, however often it is looked at."
    )
    trial_days: float = Field(
        28, gt=0, description="A trial ends after this many days; when nothing is proven the gate's days and the trial's decide together."
    )
    probation_days: float = Field(
        90,
        ge=0,
        description="The former champion goes on unseen for this many days; when it proves better Keepwell returns to it. 0: never.",
    )
    canary_share: float = Field(
        0.0, ge=0, le=1, description="Share of live requests, by a stable hash of the entity, that the challenger answers during its trial."
    )
    approvals: Literal[0, 1, 2] = Field(
        0, description="People who must approve a version before it becomes champion; mode approve needs at least one."
    )


class RetrainSection(Section):
    """When a new version is built by itself, and what holds it."""

    every_days: float | None = Field(None, gt=0, description="Build on this schedule, days since the last build.")
    max_age_days: float | None = Field(365, gt=0, description="Build when the champion's newest training row is older than this.")
    on_decline: bool = Field(True, description="Build when the check-up says the model is unwell.")
    cooldown_days: float = Field(30, ge=0, description="No build sooner than this after the last one.")
    min_new_labels: int = Field(30, ge=0, description="No build with fewer new labels than this since the last one.")
    max_per_month: int | None = Field(None, ge=1, description="No build when this many began in the last 30 days; default no limit.")


class CheckSection(Section):
    """The check-up of each cycle."""

    window_days: float = Field(365, gt=0, description="Realised performance is taken over this many days.")
    min_labels: int = Field(60, ge=10, description="With fewer labels in the window the verdict is 'unknown'.")
    tolerance: float = Field(0.1, ge=0, description="Rise of loss over the expected one that is tolerated, as a share.")
    max_loss: float | None = Field(None, description="Hard limit of the deciding metric; above it the model is unwell.")
    max_age_days: float = Field(3, gt=0, description="Observations older than this make the verdict 'unknown', days.")


class WatchSection(Section):
    """When a decline is told, see docs/watching.md."""

    on: bool = Field(True, description="Watch the champion: say since when it declines, and because of what.")
    false_alarms: str = Field("1 per 3 years", description='The budget over all that is watched together, such as "1 per 3 years".')
    sensitive: bool = Field(False, description="Tell smaller declines too, at the price of more alarms for little.")
    batch_days: float | None = Field(
        None, gt=0, description="Days that are tested together; default a day, more where fewer than five rows come."
    )
    slices: str | None = Field(
        None, description='A feature for whose values the loss is watched by itself too, such as the horizon of a forecast; or "entity".'
    )

    @field_validator("false_alarms")
    @classmethod
    def _reads_as_a_budget(cls, value: str) -> str:
        if re.fullmatch(r"\s*\d+(\.\d+)?\s+per\s+(\d+(\.\d+)?\s+)?(day|week|month|quarter|year)s?\s*", value, re.IGNORECASE) is None:
            raise ValueError('it reads like "1 per 3 years" (day, week, month, quarter or year)')
        return value


class ScheduleSection(Section):
    """When cycles run by themselves."""

    cron: str | None = Field("0 6 * * *", description="Cron line of the care cycle (minute hour day month weekday); '' for no schedule.")
    timezone: str = Field("UTC", description="Zone in which the cron line is read.")

    @field_validator("cron", mode="before")
    @classmethod
    def _cron_is_readable(cls, value: Any) -> Any:
        from croniter import croniter

        if value and isinstance(value, str) and not croniter.is_valid(value):
            raise ValueError("it is not a cron line such as '0 6 * * *'")
        return value or None

    @field_validator("timezone")
    @classmethod
    def _zone_is_known(cls, value: str) -> str:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("it is not a time zone such as 'Europe/Berlin'") from None
        return value


class ServeSection(Section):
    """The prediction server."""

    host: str = Field("127.0.0.1", description="Address to listen on; beyond loopback a token is required.")
    port: int = Field(8321, ge=0, le=65535, description="Port; 0 takes a free one.")
    grpc_port: int | None = Field(None, ge=0, le=65535, description="Also answer by gRPC at this port; 0 takes a free one (extra grpc).")
    token: SecretStr | None = Field(
        None, description="A bearer token that may do everything; set it in the environment as KEEPWELL_SERVE__TOKEN. See docs/access.md."
    )
    require_token: bool | None = Field(
        None, description="Ask for a token on this machine too; default: once there is or was one. Beyond this machine always."
    )
    certificate: str | None = Field(None, description="File with the certificate (PEM, with its chain) for HTTPS.")
    key: str | None = Field(None, description="File with its private key (PEM); default: it stands in the certificate's file.")
    packages: Literal["tell", "refuse"] = Field(
        "tell", description="When the packages here are not those a version was built with: tell (doctor, log), or refuse to answer."
    )
    max_body_kb: int = Field(1024, ge=1, description="Largest request body, KiB.")
    max_rows: int = Field(1000, ge=1, description="Most rows in one request.")
    read_s: float = Field(20.0, gt=0, description="A request's body must have come within this, seconds.")
    answer_s: float = Field(60.0, gt=0, description="A request that is not answered within this is refused, seconds.")
    log: Literal["durable", "async"] = Field(
        "durable",
        description="durable: an answer is sent when the disk has it; async: before that; a crash may lose the last answers.",
    )
    log_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Keep only this share of the answers, drawn at random; each kept one has the weight 1 / share. The others have no id.",
    )
    workers: int = Field(
        0,
        ge=0,
        le=64,
        description="Processes that answer, beside the one that keeps the model and shows its pages; 0: one process does all.",
    )
    ship_s: float = Field(5.0, gt=0, description="How often closed journal segments go to the predictions table, seconds.")
    replayed_rows: int = Field(
        50, ge=0, description="So many of the newly served rows are computed again from the tables in each cycle; 0 never."
    )

    @property
    def is_local(self) -> bool:
        """Can only this machine reach it?"""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class LookupSection(Section):
    """Requests that name only an entity: its features are computed from the newest observations."""

    entities: int = Field(100_000, ge=0, description="So many entities' newest rows are held in memory; others are read when asked.")
    max_age_days: float | None = Field(None, gt=0, description="Data older than this is stale, days; default [check] max_age_days.")
    when_stale: Literal["flag", "refuse"] = Field("flag", description="flag: answer and say is_stale; refuse: 503, and no answer.")


class TelemetrySection(Section):
    """Traces for OpenTelemetry (extra `telemetry`); what Prometheus reads stands at /metrics without any setting."""

    traces: Literal["off", "otlp"] = Field("off", description="otlp: spans of each request go to a collector by OTLP over HTTP.")
    endpoint: str | None = Field(None, description="The collector, such as http://localhost:4318; default as OTEL_EXPORTER_OTLP_ENDPOINT.")
    share: float = Field(1.0, ge=0, le=1, description="Of the requests whose caller did not decide, trace this share.")


class PartySection(Section):
    """Who is told about one kind of cause, instead of the model's owner and deputy."""

    owner: str | None = Field(None, description="The person who is told.")
    deputy: str | None = Field(None, description="Who stands in.")


class OwnerSection(Section):
    """Who is told. `[owner.data]`, `[owner.model]`, `[owner.serving]` and `[owner.keepwell]` name others for a kind of cause."""

    owner: str | None = Field(None, description="The person who owns this model.")
    deputy: str | None = Field(None, description="Who stands in.")
    data: PartySection = Field(PartySection(), description="Owner and deputy of broken, late or missing data.")
    model: PartySection = Field(PartySection(), description="Owner and deputy of a model whose relation, labels or rows changed.")
    serving: PartySection = Field(PartySection(), description="Owner and deputy of the server and its traffic.")
    keepwell: PartySection = Field(PartySection(), description="Owner and deputy of Keepwell itself: cycles, workers, notices.")


class IncidentsSection(Section):
    """What happens to incidents by themselves, see docs/care.md."""

    reopen_days: float = Field(30, ge=0, description="The same cause within so many days of its end reopens the incident.")
    failures: int = Field(2, ge=1, description="So many failed cycles in a row are an incident.")
    critical_rise: float = Field(0.25, gt=0, description="A rise of the loss by this share makes an incident critical.")
    effect_days: float = Field(28, gt=0, description="The loss so many days before and after an act says whether it helped.")


class EscalationSection(Section):
    """Who is told when nobody answers."""

    after_hours: float | None = Field(
        24, gt=0, description="An incident that nobody acknowledged is told to the deputy after this, and to both after twice as long."
    )


class SilenceSection(Section):
    """When silence is an alarm: a deadline for each thing that should come."""

    missed_cycles: int = Field(2, ge=1, description="So many scheduled cycles in a row that did not come.")
    data_days: float | None = Field(None, gt=0, description="Age of the newest observation, days; default [check] max_age_days.")
    labels_days: float = Field(7, gt=0, description="The newest rows whose labels are due are looked at over so many days.")
    labels_share: float = Field(0.5, gt=0, le=1, description="Less than this share of them with a label.")
    traffic_hours: float | None = Field(None, gt=0, description="Hours without a request; set it where a server is expected to be asked.")
    worker_minutes: float = Field(10, gt=0, description="A worker that ended without saying so, and nobody took over, minutes.")
    constant_answers: int = Field(50, ge=0, description="So many answers in a row that are all the same, or no numbers; 0 never asks.")
    age_days: float | None = Field(
        None, gt=0, description="Age of the champion's newest training row without a build; default 60 days after [retrain] asks for one."
    )


class ReportSection(Section):
    """The written check-up."""

    every: Literal["week", "month", "quarter", "year", "never"] = Field(
        "month", description="A check-up is written and kept when such a period has ended; see `keepwell checkup`."
    )


class PersonSection(Section):
    """How a person is reached; the name of the table is the name that `[owner]` uses."""

    tell: tuple[Address, ...] = Field((), description="Apprise URLs at which the person is told: slack, mailto, json, and a hundred more.")
    role: Literal["viewer", "operator", "maintainer", "admin"] = Field(
        "operator", description="The most that the person may do with tokens of theirs, or by `--by`; see docs/access.md."
    )

    @field_validator("tell")
    @classmethod
    def _are_known(cls, value: tuple[Address, ...]) -> tuple[Address, ...]:
        for one in value:
            known_channel(one)
        return value


class WebhookSection(Section):
    """A machine that is told everything, as CloudEvents."""

    url: Address = Field(description="Where the events are posted to; redirects are not followed.")
    secret: SecretStr | None = Field(None, description="Signs each request; write ${NAME} to read it from the environment.")
    kinds: tuple[str, ...] = Field((), description='Only these kinds of notices, such as "incident.*"; default all; see notifications.md.')

    @field_validator("url")
    @classmethod
    def _can_be_posted_to(cls, value: Address) -> Address:
        return known_webhook(value)

    @field_validator("kinds")
    @classmethod
    def _name_something(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            known_kinds(pattern)
        return value

    @field_validator("secret")
    @classmethod
    def _signs(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not signing_key(value):
            raise ValueError("it is empty")
        return value


class NotifySection(Section):
    """How much people are told, and how long it is tried; see docs/notifications.md."""

    weekly_budget: int = Field(5, ge=0, description="Notices a person gets in a week; what comes above goes into one digest.")
    daily_test: bool = Field(False, description="Send everyone a test each day, to prove that the way works.")
    ping: Address | None = Field(None, description="URL asked after each cycle that was done; who watches it misses a dead Keepwell.")
    timeout_s: float = Field(10, gt=0, le=120, description="A channel that has not answered by then has failed, seconds.")
    first_pause_s: float = Field(30, gt=0, description="Pause after the first failure, seconds; doubles each time, with jitter.")
    longest_pause_s: float = Field(3600, gt=0, description="Longest pause between tries, seconds.")
    give_up_hours: float = Field(72, gt=0, description="A notice that could not be delivered for so long is given up, hours.")
    refused_tries: int = Field(3, ge=1, description="So often a channel that refuses (4xx) is asked before the notice is given up.")
    stale_days: float = Field(7, gt=0, description="What happened longer ago is not sent any more, days: a backfill sends nothing old.")
    stuck_minutes: float = Field(30, gt=0, description="A notice that waits longer makes its channel a fault, minutes.")

    @field_validator("ping")
    @classmethod
    def _can_be_asked(cls, value: Address | None) -> Address | None:
        return value if value is None else known_webhook(value)


class RetentionSection(Section):
    """What `keepwell gc` lets go. A version that ever was champion, or is challenger now, stays whole whatever its age."""

    versions: int = Field(10, ge=0, description="The newest versions that passed the gate stay whole.")
    days: float = Field(90, ge=0, description="Versions that passed and are younger stay whole, days.")
    refused_days: float = Field(30, ge=0, description="Refused versions and failed builds keep their files so long, days.")
    predictions_days: float | None = Field(
        None,
        ge=LOG_FLOOR_DAYS,
        description="Predictions of older days go; default never. 183 at least: such logs must often be kept six months.",
    )
    artifact_hours: float = Field(24, ge=1, description="No artifact younger than this is removed: a running build may need it, hours.")
    workflow_days: float = Field(30, ge=1, description="The workflow library's rows of ended cycles stay so long, days.")
    backup_days: float = Field(7, gt=0, description="`keepwell doctor` notes when the newest backup is older, days.")


class RulesSection(Section):
    """What stands above every model: which features none may use, and which groups of people it must serve alike."""

    banned: tuple[str, ...] = Field(
        (
            "email",
            "e_mail",
            "phone",
            "phone_number",
            "ssn",
            "passport_number",
            "iban",
            "card_number",
            "password",
            "first_name",
            "last_name",
        ),
        description="Features of these names stop a build; capitals do not matter.",
    )
    groups: tuple[str, ...] = Field((), description="Columns of `slices` whose values are groups of people, for `keepwell score`.")


class TrustSection(Section):
    """What this deployment lets a model file do. Never read from the file itself."""

    types: tuple[str, ...] = Field((), description="More type names that a skops file may hold.")
    pickle: tuple[str, ...] = Field((), description="SHA-256 digests of pickle files that may be loaded.")


class _KnownNames(PydanticBaseSettingsSource):
    """Environment and .env names under our prefix must be settings, else a typo is silently nothing."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        from keepwell.origins import dotenv_of

        file = self.settings_cls.model_config.get("env_file")
        dotenv = dotenv_of(Path(str(file)).parent) if file else {}
        for where, names in (("environment variable ", os.environ), (".env: ", dotenv)):
            for name in names:
                if name.upper().startswith(PREFIX) and "__" in name:
                    check_known(name.lower().removeprefix(PREFIX.lower()).split("__"), f"{where}{name}")
        return {}


class Settings(BaseSettings):
    """The engineer's side of the contract: one file, read once, frozen."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        dotenv_filtering="only_existing",  # .env also holds what sources read by ${NAME}
        validate_default=True,
    )

    model: ModelSection = ModelSection()
    store: StoreSection = StoreSection()
    source: SourceSection = SourceSection()
    gather: GatherSection = GatherSection()
    contract: ContractSection = ContractSection()
    train: dict[str, Any] = Field(default_factory=dict, description="Free table, handed to the train function as `settings`.")
    search: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict,
        description="Free table: name in [train] -> values. Each build tries every combination on the newest quarter of its training rows.",
    )
    build: BuildSection = BuildSection()
    gate: GateSection = GateSection()
    promotion: PromotionSection = PromotionSection()
    retrain: RetrainSection = RetrainSection()
    check: CheckSection = CheckSection()
    watch: WatchSection = WatchSection()
    schedule: ScheduleSection = ScheduleSection()
    serve: ServeSection = ServeSection()
    lookup: LookupSection = LookupSection()
    telemetry: TelemetrySection = TelemetrySection()
    owner: OwnerSection = OwnerSection()
    report: ReportSection = ReportSection()
    incidents: IncidentsSection = IncidentsSection()
    escalation: EscalationSection = EscalationSection()
    silence: SilenceSection = SilenceSection()
    runbooks: dict[str, str] = Field(
        default_factory=dict, description="Free table: class or kind of cause -> text or address, in place of the built-in runbook."
    )
    retention: RetentionSection = RetentionSection()
    rules: RulesSection = RulesSection()
    trust: TrustSection = TrustSection()
    people: dict[str, PersonSection] = Field(default_factory=dict, description="Who can be told, by name.")
    webhooks: tuple[WebhookSection, ...] = Field((), description="Machines that are told.")
    notify: NotifySection = NotifySection()

    @field_validator("search")
    @classmethod
    def _search_is_bounded(cls, value: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        if empty := [name for name, values in value.items() if not values]:
            raise ValueError(f"no value to try for {', '.join(empty)}: give a list")
        if (count := math.prod(len(values) for values in value.values())) > MOST_TRIED:
            raise ValueError(f"{count:,} combinations, at most {MOST_TRIED} are tried at each build: give fewer values")
        return value

    @field_validator("people", "webhooks", "notify", mode="before")
    @classmethod
    def _secrets_come_from_the_environment(cls, value: Any) -> Any:
        from keepwell.origins import dotenv_of

        file = cls.model_config.get("env_file")
        return expanded(value, dotenv_of(Path(str(file)).parent) if file else {})

    @property
    def acts_alone(self) -> bool:
        """May a version go live, or go, without a person's word?"""
        return self.promotion.mode != "approve" and self.model.risk != "high"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(settings_cls, cls.model_config.get("toml_file"))
        return init_settings, _KnownNames(settings_cls), env_settings, dotenv_settings, toml


def read(folder: Path, flags: Mapping[str, Any] | None = None) -> Settings:
    """Read `folder`/keepwell.toml and everything that outranks it.

    Raises
    ------
    ProjectNotFound : there is no keepwell.toml in the folder.
    SettingUnknown : a name does not exist; carries the nearest one.
    SettingInvalid : a value is impossible, or the file is not TOML.
    """
    settings, problems = look(folder, flags)
    if settings is None:
        raise problems[0]
    return settings


def look(folder: Path, flags: Mapping[str, Any] | None = None) -> tuple[Settings | None, list[KeepwellError]]:
    """The settings, or None and everything that is wrong with them, in the order of the file."""
    path = folder / FILE
    if not path.is_file():
        return None, [ProjectNotFound(folder)]
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return None, [SettingInvalid(FILE, "not TOML", str(error), str(path))]
    unknown: list[KeepwellError] = []
    for parts in names_in(content):
        try:
            check_known(parts, str(path))
        except SettingUnknown as problem:
            unknown.append(problem)

    class FromHere(Settings):
        model_config = SettingsConfigDict(toml_file=path, env_file=folder / ".env", env_file_encoding="utf-8")

    try:
        settings = FromHere(**dict(flags or {}))
    except SettingUnknown as problem:  # in the environment
        return None, [*unknown, problem]
    except ValidationError as error:
        return None, [*unknown, *_problems(error, folder, content, unknown)]
    return (None, unknown) if unknown else (settings, [])


def _problems(error: ValidationError, folder: Path, content: Mapping[str, Any], said: list[KeepwellError]) -> Iterator[KeepwellError]:
    from keepwell.origins import dotenv_of, origin_of

    known = {str(problem.facts.get("setting")) for problem in said}
    for found in error.errors():
        parts = [str(part) for part in found["loc"]]
        name = ".".join(parts)
        if name in known:
            continue
        origin = origin_of(parts[0], parts[1] if len(parts) > 1 else "", content, dotenv_of(folder))
        where = str(folder / FILE) if origin in (FILE, "default") else origin
        if found["type"] == "extra_forbidden":
            yield SettingUnknown(name, nearest(parts), where)
            continue
        value = "missing" if found["type"] == "missing" else _shown_input(parts, found.get("input"))
        yield SettingInvalid(name, value, _said(found), where)


def _said(found: Mapping[str, Any]) -> str:
    """What is wrong, in the words of a TOML file."""
    words = str(found["msg"]).removeprefix("Value error, ").replace("Input should be", "it must be")
    return WORDS.get(str(found["type"]), words)


def _shown_input(parts: list[str], value: Any) -> Any:
    """What was given, by the last name on its path; a place in a list is none."""
    if parts[0] in TOLD and parts[-1] in ("url", "ping", *TOLD):
        return HIDDEN
    name = next(part for part in reversed(parts) if not part.isdigit())
    return shown(name, [value])[0] if name == ADDRESSES and isinstance(value, str) else shown(name, value)


WORDS = {
    "missing": "it is needed",
    "tuple_type": "it must be a list, in square brackets",
    "list_type": "it must be a list, in square brackets",
    "int_parsing": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "float_parsing": "it must be a number",
    "bool_parsing": "it must be true or false",
}  # by pydantic's name of the problem, where its own words are about Python


def names_in(table: Mapping[str, Any]) -> Iterator[list[str]]:
    """Every [section, name] path of a settings table."""
    for section, content in table.items():
        if isinstance(content, Mapping):
            yield [section]
            yield from ([section, name] for name in content)
        else:
            yield [section]


FREE = {"train", "search", "people", "runbooks"}  # tables whose names are the user's own
INNER: dict[str, type[Section]] = {"people": PersonSection, "webhooks": WebhookSection}  # what stands in each of their tables
TOLD = ("people", "webhooks", "notify")  # tables that hold addresses


def known_names() -> dict[str, list[str]]:
    """Section -> the names it has; an empty list for free tables."""
    names: dict[str, list[str]] = {}
    for section, field in Settings.model_fields.items():
        kind = field.annotation
        names[section] = list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []
    return names


def check_known(path: list[str], where: str) -> None:
    """Refuse a name that is no setting, with the nearest one."""
    known = known_names()
    section = path[0]
    free = section in FREE or section == "source"
    if section not in known or (len(path) > 1 and not free and path[1] not in known[section]):
        raise SettingUnknown(".".join(path), nearest(path), where)


def nearest(path: list[str]) -> str | None:
    """The setting whose name is closest to `path`, or None when nothing is close."""
    if path[0] in INNER and len(path) > 2:  # people.mira.tel, webhooks.0.ulr
        inner = difflib.get_close_matches(path[-1], INNER[path[0]].model_fields, n=1)
        return ".".join([*path[:-1], *inner]) if inner else None
    known = known_names()
    # A known section is no answer to a wrong name in it.
    sections = [section for section in known if section != path[0]]
    everything = [*sections, *(f"{section}.{name}" for section, names in known.items() for name in names)]
    asked = ".".join(path)
    close = difflib.get_close_matches(asked, everything, n=1, cutoff=0.6)
    if not close and len(path) > 1:
        close = [name for name in everything if name.split(".")[-1] == path[-1]][:1]
    return close[0] if close else None


def json_schema() -> dict[str, Any]:
    """The JSON Schema of keepwell.toml, for editors."""
    found = Settings.model_json_schema()
    found.pop("title", None)
    return {"$schema": SCHEMA_DRAFT, "title": FILE, **found}
