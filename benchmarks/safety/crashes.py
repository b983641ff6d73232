"""Processes that are killed at their writes, and responses that are lost after the commit: is an effect repeated?

Many Remediations run at once in one process, on a clock that is faster than the wall clock. Their recorded steps are
compared with every state of the targets, from watches of the API server.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from aiohttp import web
from benchmarks.safety.environment import ACCOUNT, API, OPERATOR, SafetyEnvironment
from benchmarks.safety.proxy import Fault, Proxy
from benchmarks.safety.receiver import KIND, receiver
from benchmarks.safety.trials import TRIALS, Target, Trial, mark
from benchmarks.safety.watch_recorder import WatchRecorder

from forestall.adapters.kubernetes import Access
from forestall.api import Remediation
from forestall.api.times import seconds, stamp

SPEED = 10
"""Factor of the clock over the wall clock: 1.5 s remain for operations in progress, instead of 15 s."""
DEADLINE = 180.0
LATE = 60.0
TARGETS = 8
AT_ONCE = 3
"""Actions that run at the same time."""
MOST_ROUNDS = 60
_MOODS = ("calms",) * 7 + ("lasts",) * 2 + ("blind",)
NEVER = {"at": -1, "how": "never", "seed": 0}
_PROGRAM = Path(__file__).with_name("killable.py")


@dataclass
class Tally:
    """The results of all Remediations of one action."""

    struck: int = 0
    """Number of kills, or of lost responses."""
    how: Counter[str] = field(default_factory=Counter)
    lives: int = 0
    duplicates: int = 0
    """Effects on targets without a recorded step."""
    unmade: int = 0
    """Completed steps without an effect on the target."""
    late: int = 0
    """Remediations that did not end within a minute of their deadline."""
    latest_s: float = -float("inf")
    """The latest end after, or nearest end before, its deadline."""
    orphans: int = 0
    """Nodes that stayed cordoned."""
    told_again: int = 0
    """Notifications that arrived again, with the same id."""
    ends: Counter[str] = field(default_factory=Counter)

    @property
    def holds(self) -> bool:
        """Whether the result meets the promise."""
        return not (self.duplicates or self.unmade or self.late or self.orphans) and self.struck > 0

    def as_json(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "struck": self.struck,
            "how": dict(self.how),
            "remediations": self.lives,
            "duplicateEffects": self.duplicates,
            "stepsNeverMade": self.unmade,
            "orphanCordons": self.orphans,
            "noticesToldAgain": self.told_again,
            "endedLate": self.late,
            "latestEndAfterDeadlineS": round(self.latest_s, 1),
            "ends": dict(self.ends),
        }


class Round:
    """One Remediation for each target, started at the same time."""

    def __init__(self, trial: Trial, namespace: str, targets: Sequence[Target], episode: int, now: float) -> None:
        owner = {"apiVersion": "forestall.dev/v1alpha1", "namespace": namespace, "name": "web"}
        self.clock = {"start": now, "speed": SPEED}
        self.intents = [
            {
                "policy": {**owner, "kind": "RemediationPolicy", "uid": "p-1"},
                "objective": {**owner, "kind": "ServiceLevelObjective", "uid": "o-1"},
                "episode": episode,
                "target": target.ref,
                "action": trial.rung,
                "mode": "Auto",
                "evidence": {"indicator": "load", "reason": "load is forecast to pass its limit"},
                "created": stamp(now),
                "deadline": stamp(now + DEADLINE),
                "verifyWithin": "30s",
                **target.numbers,
            }
            for target in targets
        ]


class ForkServer:
    """The program that leads, which forks for each order."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    async def __aenter__(self) -> Self:
        """Start the program and wait until its imports are done."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, str(_PROGRAM), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        await self._process.stdout.readline()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Stop it."""
        self._process.kill()
        await self._process.wait()

    async def run(
        self,
        kubeconfig: Path,
        round_: "Round",
        moods: dict[str, str],
        killed: dict[str, Any] = NEVER,
        receiver: str = "",
    ) -> int:
        """Run one fork until every Remediation has ended, or it is killed; return the signal that ended it, or 0."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {
            "kubeconfig": str(kubeconfig),
            "namespace": self._namespace,
            "intents": round_.intents,
            "moods": moods,
            "clock": round_.clock,
            "killed": killed,
            "receiver": receiver,
        }
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        code = int(await self._process.stdout.readline())
        if code not in (0, -9):
            raise RuntimeError(f"the process that leads ended with {code}")
        return code


class Crashes:
    """Runs one action until it has failed often enough."""

    def __init__(self, environment: SafetyEnvironment, trial: Trial, seed: int) -> None:
        self._environment = environment
        self._cluster = environment.cluster
        self._trial = trial
        self._dice = random.Random(seed)
        self._namespace = f"{trial.name}-{uuid4().hex[:6]}"
        self._lose: Callable[[], bool] = lambda: False

    async def kill(self, wanted: int, targets: int) -> Tally:
        """Kill the process `wanted` times, each at a random write."""
        tally = Tally()
        kubeconfig = await asyncio.to_thread(self._cluster.kubeconfig_for, OPERATOR, ACCOUNT)

        async def crash(round_: Round, moods: dict[str, str]) -> None:
            while True:
                how = self._dice.choice(("before", "in flight", "after"))
                at = self._dice.randint(1, 3) if tally.struck < wanted else -1
                killed = {"at": at, "how": how, "seed": self._dice.random()}
                if await self._forks.run(kubeconfig, round_, moods, killed, self._receiver) == 0:
                    return
                tally.struck += 1
                tally.how[how] += 1

        await self._run_rounds(crash, tally, wanted, targets)
        return tally

    async def lose_answers(self, wanted: int, targets: int) -> Tally:
        """Lose the responses of `wanted` writes after the commit."""
        tally = Tally()
        config = (await Access.find(str(self._cluster.kubeconfig))).rest_config()
        proxy = Proxy(config.server, config.ca_path)

        def lost() -> bool:
            lost = tally.struck < wanted and self._dice.random() < 0.3
            tally.struck += lost
            return lost

        def fault(request: web.BaseRequest) -> Fault | None:
            return "lose" if request.method != "GET" and lost() else None

        proxy.fault = fault
        self._lose = lost
        async with proxy.serve():
            kubeconfig = await asyncio.to_thread(self._environment.kubeconfig, proxy.url, self._namespace)

            async def lose_answers(round_: Round, moods: dict[str, str]) -> None:
                await self._forks.run(kubeconfig, round_, moods, receiver=self._receiver)

            await self._run_rounds(lose_answers, tally, wanted, targets)
        return tally

    async def _run_rounds(self, run_round: Any, tally: Tally, wanted: int, count: int) -> None:
        trial, namespace = self._trial, self._namespace
        await asyncio.to_thread(self._cluster.kubectl, "create", "namespace", namespace)
        await asyncio.to_thread(trial.targets, self._cluster, namespace, count)
        remediations = f"/apis/{API}/namespaces/{namespace}/remediations"
        access = await Access.find(str(self._cluster.kubeconfig))
        watching = WatchRecorder(access, trial.path(namespace), remediations).watching()
        async with (
            watching as recorder,
            ForkServer(namespace) as self._forks,
            receiver(recorder, namespace, self._lose) as self._receiver,
        ):
            for episode in range(1, MOST_ROUNDS + 1):
                targets = await asyncio.to_thread(trial.targets, self._cluster, namespace, count)
                round_ = Round(trial, namespace, targets, episode, time.time())
                await run_round(round_, {target.ref["name"]: self._dice.choice(_MOODS) for target in targets})
                if tally.struck >= wanted:
                    break
            await recorder.settle()
            self._judge(recorder, tally)
        await asyncio.to_thread(self._clean)

    def _clean(self) -> None:
        self._cluster.kubectl("delete", "namespace", self._namespace, "--wait=false")
        nodes = ("nodes", "-l", f"trial={self._namespace}", "--ignore-not-found")
        self._cluster.kubectl("delete", *nodes)

    def _judge(self, recorder: WatchRecorder, tally: Tally) -> None:
        lives = [
            Remediation.read(states[-1]) for key, states in recorder.states.items() if key.startswith("Remediation/")
        ]
        tally.lives = len(lives)
        for life in lives:
            tally.ends[f"{life.status.phase}: {life.status.reason}"] += 1
            end = seconds(life.status.ended)
            after = float("inf") if end is None else end - (seconds(life.spec.intent.deadline) or 0.0)
            tally.late += after > LATE
            tally.latest_s = max(tally.latest_s, after)
        world = self._trial.effects(recorder, self._namespace)
        steps = Counter(
            (self._trial.owner(life), step.from_, step.to) for life in lives for step in life.status.steps if step.done
        )
        tally.duplicates = (world - steps).total()
        tally.unmade = (steps - world).total()
        for key, states in recorder.states.items():
            tally.orphans += key.startswith(f"Node//{self._namespace}-") and mark(states[-1]) != (False, "")
            tally.told_again += len(states) - 1 if key.startswith(f"{KIND}/") else 0


async def measure(
    environment: SafetyEnvironment, *, quick: bool, trials: Sequence[str] = tuple(TRIALS)
) -> dict[str, Any]:
    """Fail every action, by kills and by lost responses."""
    wanted, targets = (6, 3) if quick else (200, TARGETS)
    at_once = asyncio.Semaphore(4 if quick else AT_ONCE)

    async def run_trial(name: str, fault: str, seed: int) -> Tally:
        async with at_once:
            crashes = Crashes(environment, TRIALS[name], seed)
            tally = await (crashes.kill if fault == "killed" else crashes.lose_answers)(wanted, targets)
        print(f"{fault} {name}: {json.dumps(tally.as_json())}", file=sys.stderr, flush=True)
        return tally

    tallies: dict[str, dict[str, Tally]] = {}
    for fault in ("killed", "answersLost"):
        results = await asyncio.gather(*(run_trial(name, fault, seed) for seed, name in enumerate(trials)))
        tallies[fault] = dict(zip(trials, results, strict=True))
    return {
        "clockSpeed": SPEED,
        "deadlineS": DEADLINE,
        "holds": all(tally.holds for tallies_by_name in tallies.values() for tally in tallies_by_name.values()),
        **{
            fault: {name: tally.as_json() for name, tally in tallies_by_name.items()}
            for fault, tallies_by_name in tallies.items()
        },
    }
