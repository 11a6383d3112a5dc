from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kafka import KafkaProducer
from tests.producers.conftest import Read
from tests.producers.test_subscriber import alert

from driftline.contracts.columnar_decoding import decode_columnar
from driftline.contracts.events import decode_inference, decode_label
from driftline.contracts.findings import encode_json

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, str(EXAMPLES / name), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_any_kafka_client_can_publish(bootstrap: str, prefix: str, read: Read) -> None:
    run("publish_plain_kafka.py", bootstrap, prefix)
    ((_, key, value, _, _),) = read(prefix + "inference-events")
    ((_, label_key, label, _, _),) = read(prefix + "label-events")
    event = decode_inference(value)
    assert (event.model, event.score) == ("flights", 0.83)
    assert decode_label(label).event_id == event.event_id
    assert key == label_key == event.event_id.encode()


def test_the_publisher_publishes(bootstrap: str, prefix: str, read: Read) -> None:
    assert run("publish.py", bootstrap, prefix).strip() == "delivered 2000, lost 0"
    predicted = {decode_inference(value).event_id for _, _, value, _, _ in read(prefix + "inference-events")}
    labelled = {decode_label(value).event_id for _, _, value, _, _ in read(prefix + "label-events")}
    assert predicted == labelled
    assert len(predicted) == 1000


def test_a_scored_data_frame_is_published_as_columns(bootstrap: str, prefix: str, read: Read) -> None:
    assert run("publish_batch.py", bootstrap, prefix).strip() == "delivered 10000, lost 0"
    batches = [decode_columnar(value or b"") for _, _, value, _, _ in read(prefix + "inference-events")]
    assert sum(len(batch) for batch in batches) == 10_000
    assert {"distance", "carrier", "dep_delay"} == set(batches[0].features)


def test_alerts_are_read_as_sentences(bootstrap: str, prefix: str) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for name in ("a", "a", "b"):
        producer.send(prefix + "alerts", key=b"m", value=encode_json(alert(name)))
    producer.close()
    lines = run("read_alerts.py", bootstrap, prefix, "1.5").splitlines()
    assert len(lines) == 2
    assert all("It drifts." in line for line in lines)
