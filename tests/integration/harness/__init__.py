# SPDX-License-Identifier: BSD-3-Clause
"""What the integration tests share: weir, its peers, and a place of their own to run in."""
from . import tcp
from .claim import Failure, Skip, main, need, wait_for
from .console import Console
from .guest import Guest, Nic
from .huge import HugePages
from .process import Process
from .telemetry import telemetry
from .testpmd import Testpmd
from .weir import WEIR, Weir

__all__ = ["Console", "Failure", "Guest", "HugePages", "Nic", "Process", "Skip", "Testpmd", "WEIR", "Weir", "main",
           "need", "tcp", "telemetry", "wait_for"]
