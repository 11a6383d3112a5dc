"""One Faust app a step: a consumer group of its own, agents that only read, step and acknowledge."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, get_args

from sqlalchemy import Engine

from driftline.contracts.knock import check_welcome
from driftline.contracts.security import open_security
from driftline.contracts.settings import KafkaSettings, Settings
from driftline.contracts.times import SECOND_MS, parse_duration
from driftline.contracts.topics import INFERENCE_EVENTS, LABEL_EVENTS, MAX_SUMMARY_BYTES, SUMMARIES, Topic, topic_name
from driftline.health.process import telemetry_of
from driftline.store.database import check_revision, open_database
from driftline.streams.detecting import Detect
from driftline.streams.failstop import die
from driftline.streams.join import joins
from driftline.streams.security import credentials
from driftline.streams.sql_thread import SqlThread
from driftline.streams.summarise import Summarise
from driftline.streams.transport import Batch, DriftApp, LoadOffset, TransportSettings

Step = Literal["summarise", "join", "detect"]
Environment = Mapping[str, str]
STEPS: tuple[Step, ...] = get_args(Step)

#: How often idle partitions are looked for, and what an earlier owner left is published.
_LOOK_ROUND_S = 1.0
_LEAST_ROUND_S = 0.05
#: A partition's records go to the broker in batches, one after the other, and each waits for turns of a loop that is busy reading: aiokafka's 16 KB
#: make a batch of each summary, and what a flush takes some 40 round trips. Less than the megabyte that any topic accepts.
_BATCH_BYTES = 512 << 10
#: A fetch brings so much of a partition at the most: each batch costs a transaction and a round of messages, whatever it holds, and a columnar record
#: takes a megabyte. Of very many partitions less, for those of a topic may all be held at once, but not less than Kafka's own megabyte.
_FETCH_BYTES, _FETCH_BYTES_OF_ALL, _FETCH_BYTES_LEAST = 4 << 20, 64 << 20, 1 << 20
#: Of the time to drain, the share that may go by before the group is left.
_DRAIN_SHARE = 0.8


def create_app(settings: Settings, step: Step, environment: Mapping[str, str] | None = None) -> DriftApp:
    """Return the app of a step. The database has to be at the revision that this program needs.

    ``environment`` may hold the broker's password, see ``contracts.security``.
    """
    engine = open_database(settings.database)
    try:
        check_revision(engine)
    except Exception:
        engine.dispose()
        raise
    return {"summarise": _summarise_app, "join": _join_app, "detect": _detect_app}[step](settings, engine, environment or {})


def group_id(kafka: KafkaSettings, step: Step) -> str:
    """Return the consumer group of a step."""
    return f"{kafka.topic_prefix}driftline-{step}"


def _summarise_app(settings: Settings, engine: Engine, environment: Environment) -> DriftApp:
    app = _app(settings, "summarise", {}, environment)
    step = Summarise(app, settings, engine)
    _agent(app, settings, INFERENCE_EVENTS, step.take)
    _timer(app, parse_duration(settings.worker.flush_interval) / SECOND_MS, step.flush)
    _last(app, step.flush)
    _timer(app, _LOOK_ROUND_S, step.look_for_idle)
    return app


def _join_app(settings: Settings, engine: Engine, environment: Environment) -> DriftApp:
    positions: dict[str, LoadOffset] = {}
    app = _app(settings, "join", positions, environment)
    for topic, half in zip((INFERENCE_EVENTS, LABEL_EVENTS), joins(app, settings, engine), strict=True):
        positions[topic_name(topic, settings.kafka)] = half.position
        _agent(app, settings, topic, half.take)
        _timer(app, _LOOK_ROUND_S, half.look_for_idle)
    return app


def _detect_app(settings: Settings, engine: Engine, environment: Environment) -> DriftApp:
    positions: dict[str, LoadOffset] = {}
    app = _app(settings, "detect", positions, environment)
    step = Detect(app, settings, engine, SqlThread())
    positions[topic_name(SUMMARIES, settings.kafka)] = step.position
    _agent(app, settings, SUMMARIES, step.take)
    _timer(app, _LOOK_ROUND_S, step.open_all)
    checkpoint_s = parse_duration(settings.worker.checkpoint_interval) / SECOND_MS
    if checkpoint_s < _LOOK_ROUND_S:
        _timer(app, max(checkpoint_s, _LEAST_ROUND_S), step.save_due)
    _last(app, step.finish)
    return app


def _app(settings: Settings, step: Step, positions: dict[str, LoadOffset], environment: Environment) -> DriftApp:
    worker = settings.worker
    session = parse_duration(worker.session_timeout) / SECOND_MS
    secured = credentials(settings.kafka.security, environment)
    check_welcome(settings.kafka.bootstrap_servers.split(","), open_security(settings.kafka.security, environment))
    options: dict[str, Any] = {"broker_credentials": secured} if secured is not None else {}
    if worker.instance_id is not None:
        options["consumer_group_instance_id"] = f"{worker.instance_id}-{step}"
    app = DriftApp(
        group_id(settings.kafka, step),
        positions=positions,
        transport_settings=TransportSettings(
            fetch_max_wait_ms=parse_duration(worker.fetch_wait),
            patience_s=parse_duration(worker.stall_timeout) / SECOND_MS,
            packed_topics=frozenset({topic_name(INFERENCE_EVENTS, settings.kafka)}),
            drain_deadline_s=parse_duration(worker.drain_timeout) / SECOND_MS * _DRAIN_SHARE,
        ),
        broker=[f"kafka://{server.strip()}" for server in settings.kafka.bootstrap_servers.split(",")],
        broker_session_timeout=session,
        broker_heartbeat_interval=session / 6,
        broker_request_timeout=max(12.0, session * 2),
        broker_rebalance_timeout=session + 4,
        broker_commit_interval=parse_duration(worker.commit_interval) / SECOND_MS,
        broker_max_poll_records=worker.max_poll_records,
        consumer_max_fetch_size=fetch_bytes(settings.kafka.partitions),
        consumer_auto_offset_reset="earliest",
        topic_partitions=settings.kafka.partitions,
        topic_replication_factor=settings.kafka.replication_factor,
        table_standby_replicas=1,  # without a table this is what keeps Faust's own assignor, which gives equal partitions to one worker
        producer_linger=0,
        producer_max_request_size=MAX_SUMMARY_BYTES,
        producer_max_batch_size=_BATCH_BYTES,
        **options,
    )
    app.telemetry = telemetry_of(settings)
    return app


def fetch_bytes(partitions: int) -> int:
    """Return how many bytes of one partition a fetch brings at the most.

    >>> fetch_bytes(4) >> 20, fetch_bytes(32) >> 20, fetch_bytes(500) >> 20
    (4, 2, 1)
    """
    return max(_FETCH_BYTES_LEAST, min(_FETCH_BYTES, _FETCH_BYTES_OF_ALL // partitions))


def _agent(app: DriftApp, settings: Settings, topic: Topic, take: Callable[[Batch], Awaitable[None]]) -> None:
    source = app.topic(topic_name(topic, settings.kafka), key_serializer="raw", value_serializer="raw")

    async def agent(stream: Any) -> None:
        async for event in stream.noack().events():
            app.telemetry.count("driftline_records_read_total", len(event.message.records), topic.name)
            app.telemetry.count("driftline_batches_read_total", 1, topic.name)
            if await _done(app, take(event.message), topic.name):
                event.ack()

    app.agent(source, name=f"driftline.{topic.name}")(agent)


def _timer(app: DriftApp, seconds: float, look: Callable[[], Awaitable[None]]) -> None:
    async def tick() -> None:
        if app.consumer.assignment():
            await _done(app, look(), getattr(look, "__name__", "timer"))

    app.timer(seconds)(tick)


def _last(app: DriftApp, finish: Callable[[], Awaitable[None]]) -> None:
    """Have a step finish when the app stops: what was read is sent and committed, and whoever reads on begins there."""

    async def stopping(_app: Any, **_: Any) -> None:
        if await _done(app, finish(), "drain"):
            await app.consumer.commit()

    app.on_before_shutdown.connect(stopping)  # type: ignore[arg-type]  # Faust's protocol has no names


async def _done(app: DriftApp, step: Awaitable[None], what: str) -> bool:
    """Await a step, ending the process if it fails; but once told to stop, the producer may be gone before the step is, and that is no failure."""
    try:
        with app.telemetry.timed(what):
            await step
    except Exception as error:  # noqa: BLE001  # whatever it is, going on would be wrong
        if not app.should_stop:
            die(what, error)
        # What it had in hand is void: nothing that comes after it may be committed.
        app.consumer.rewind(f"{what} was left unfinished at the stop: {error!r}")
        return False
    return True
