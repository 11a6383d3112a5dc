"""``driftline.yaml`` and the environment, read into settings; and the file that ``driftline init`` writes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from driftline.contracts.errors import SettingsError
from driftline.contracts.settings import Settings, build_settings

FILE_NAME = "driftline.yaml"

#: The text of ``driftline init``. It loads as it stands; what is commented out holds the defaults, or an example. All: ``driftline config show``.
TEMPLATE = """\
# Driftline's settings. `driftline config check` reads them, and says what is wrong and what is accepted.
# Any of them may come from the environment instead: DRIFTLINE__KAFKA__BOOTSTRAP_SERVERS=kafka:9092

kafka:
  bootstrap_servers: 127.0.0.1:9092
  # topic_prefix: ""
  # partitions: 4
  # replication_factor: 1          # 3 in production
  # security:                      # the password: password_file, or the variable DRIFTLINE_KAFKA_PASSWORD
  #   protocol: SASL_SSL
  #   mechanism: SCRAM-SHA-512
  #   username: driftline
  #   password_file: /run/secrets/kafka

# database: sqlite:///.driftline/driftline.db     # or postgresql+psycopg://user@host/driftline
# artifacts: .driftline/artifacts

# http:
#   port: 9464                     # /livez, /readyz and /metrics of summarise; the next ports are the other processes'

# limits:                          # of what comes from outside
#   models: 1000                   # that nobody configured or registered; further ones are dead letters
#   versions: 500                  # of a model, told apart

# defaults:                        # of every model, those that nobody wrote down here as well
#   alarm_budget: 1 per 30d        # false alarms that you accept, per model
#   tolerance: 0.2                 # the effect that matters, in standard deviations of a feature

models:
  my-model:
    task: classification           # or multiclass, regression
    alarm_budget: 1 per 30d
    # features:                    # what is not named here is found out
    #   amount: numeric
    #   account_id: ignore
    # pii: {surname: drop}         # drop, hash, bucket:10 or keep; "*" for all others
    # tolerances: {amount: 0.5}    # of single columns
    # weights: {row_id: 0}         # share of the attention; 0: shown, never alarms
    # weighting: importance        # of features without a weight; else all are equal
    # pane: 5s                     # 1h for a model with few events
    # window: 1h                   # or 10000 events, or 1h or 10000 events
    # slide: 15m                   # findings more often; 1000 events where the window ends by count
    # multivariate: windows        # all columns together at every window, not only an episode's first; or off
    # policy:
    #   enabled: true              # retrain by itself
    #   cooldown: 7d
"""


def load_settings(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Return the settings of a file, with the environment laid over it; ``None``: ``driftline.yaml`` here if there is one, else the defaults.

    Raises SettingsError: with the line where the file is no YAML, with the field where a setting is wrong.
    """
    if path is None:
        path = Path(FILE_NAME)
        if not path.is_file():
            return build_settings({}, environment)
    return build_settings(read_yaml(path), environment)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, or raise SettingsError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(str(path), error.strerror, "a file that can be read") from None
    except UnicodeDecodeError as error:
        raise SettingsError(str(path), f"byte {error.start}", "text in UTF-8") from None
    try:
        tree = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader that also refuses a key given twice
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        lines = text.splitlines()
        line = lines[mark.line] if mark and mark.line < len(lines) else ""
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise SettingsError(place, line.strip(), f"YAML ({error.problem})") from None
    except yaml.YAMLError as error:
        raise SettingsError(str(path), "", f"YAML ({error})") from None
    except (RecursionError, ValueError) as error:
        raise SettingsError(str(path), "", f"YAML that can be read ({type(error).__name__})") from None
    if tree is None:
        return {}
    try:
        _walk(tree, {})
    except (RecursionError, UnicodeEncodeError) as error:
        raise SettingsError(str(path), "", f"YAML of plain text that does not hold itself ({type(error).__name__})") from None
    if not isinstance(tree, dict):
        raise SettingsError(str(path), tree, "a mapping of sections")
    return tree


def _walk(node: object, left: dict[int, bool]) -> None:
    """Raise RecursionError where a node holds itself, UnicodeEncodeError where a text is none. Each node once: aliases may stand for very many."""
    if isinstance(node, str):
        node.encode()
    if not isinstance(node, dict | list):
        return
    if id(node) in left:
        if not left[id(node)]:
            raise RecursionError
        return
    left[id(node)] = False
    for inner in [*node, *node.values()] if isinstance(node, dict) else node:
        _walk(inner, left)
    left[id(node)] = True


class _Loader(yaml.SafeLoader):
    """Of two entries with the same key YAML keeps the last, silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's own signature
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} is given twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)
