"""How a process says how it is: metrics for Prometheus, liveness, readiness."""

from __future__ import annotations
