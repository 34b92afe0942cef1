"""kill -9 of either side loses no durable record, doubles none, and leaves no time undeclared."""

import json
import os
import random
import signal
import sqlite3
import time
import unittest

from support import GPUS, WithControlPlane, wait_for

KILLS = int(os.environ.get("PACKET_KILLS", "100"))


class Kill(WithControlPlane):
    def test_kill_either_side_again_and_again(self):
        seed = int(os.environ.get("PACKET_SEED", random.randrange(1 << 30)))
        print(f"seed {seed}, {KILLS} kills", flush=True)
        choice = random.Random(seed)
        agent = self.start_agent()
        wait_for(self.ready, what="the agent")
        killed = {"agent": 0, "control": 0}
        for _ in range(KILLS):
            time.sleep(choice.uniform(0.05, 1.6))
            if choice.random() < 0.6:
                agent.kill()
                agent.wait()
                agent = self.start_agent()
                killed["agent"] += 1
            else:
                self.control.kill()
                self.control.wait()
                time.sleep(choice.uniform(0, 0.3))
                self.control = self.start_control()
                killed["control"] += 1
        print(killed, flush=True)
        wait_for(self.ready, what="the agent")
        time.sleep(2.5)
        self.assertEqual(self.stop(agent), 0)
        # What the stop could not deliver, the next start does.
        agent = self.start_agent(PACKET_AGENT_GPU_ENABLED="false")
        wait_for(lambda: (self.ready() or {}).get("delivery", {}).get("spooled") == 0, 90, "an empty spool")
        totals = self.local("/v1/usage")[1]
        self.assertEqual(self.stop(agent), 0)
        self.assertEqual(totals["rejected"], 0)
        self.check_ledger(killed["agent"])

    def check_ledger(self, restarts):
        database = sqlite3.connect(f"file:{self.directory}/control.sqlite?mode=ro", uri=True)
        events = [json.loads(bytes(row[0])) for row in database.execute("SELECT event FROM usage_record")]
        data = [event["data"] for event in events]
        self.assertGreater(len(data), restarts)
        identities = [(d["epoch"], d["seq"]) for d in data]
        self.assertEqual(len(identities), len(set(identities)), "a record is there twice")
        for epoch in {e for e, _ in identities}:
            sequence = sorted(s for e, s in identities if e == epoch)
            self.assertEqual(sequence, list(range(len(sequence))), f"epoch {epoch} has a hole")
        for gpu in GPUS:
            spans = sorted((d["start_ms"], d["end_ms"], d) for d in data if d["gpu_uuid"] == gpu)
            self.assertGreater(len(spans), 10)
            for (_, end, before), (start, _, after) in zip(spans, spans[1:]):
                self.assertEqual(end, start, f"{'overlap' if start < end else 'hole'} between {before} and {after}")
            observed = sum(d["observed_ms"] for *_, d in spans if "observed_ms" in d)
            gaps = sum(end - start for start, end, d in spans if "cause" in d)
            unobserved = sum(e - s - d["observed_ms"] for s, e, d in spans if "observed_ms" in d)
            self.assertEqual(observed + gaps + unobserved, spans[-1][1] - spans[0][0])
            self.assertLess(unobserved, 50 * len(spans), "intervals claim more time than they observed")
            causes = {d["cause"] for *_, d in spans if "cause" in d}
            self.assertIn("agent_down", causes)


if __name__ == "__main__":
    unittest.main()
