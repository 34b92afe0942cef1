"""`packet-agent at-risk` on a terminal: Ctrl-C gives what was found, and names never reach the terminal raw."""

import json
import os
import pathlib
import pty
import signal
import subprocess
import time

from support import AGENT, EndToEnd, wait_for


class AtRisk(EndToEnd):
    def setUp(self):
        super().setUp()
        # Everything made after this moment is the user's.
        (self.directory / "state").mkdir()
        now = time.clock_gettime_ns(time.CLOCK_REALTIME)
        (self.directory / "state" / "first-start").write_text(f"{now // 10**9}.{now % 10**9:09}\n")
        time.sleep(0.05)
        self.tree = self.directory / "tree"
        self.tree.mkdir()

    def on_terminal(self, *arguments, interrupt=False):
        """The exit status and everything that reached the terminal, bytes."""
        main, end = pty.openpty()
        process = subprocess.Popen(
            [AGENT, "at-risk", *arguments, str(self.tree)], env=self.environment(TERM="xterm"), stdin=end, stdout=end,
            stderr=end, start_new_session=True)
        self.processes.append(process)
        if interrupt:
            status = pathlib.Path(f"/proc/{process.pid}/status")
            caught = lambda: int(status.read_text().split("SigCgt:")[1].split()[0], 16) & 1 << signal.SIGINT - 1
            while not caught():
                self.assertIsNone(process.poll())
            os.kill(process.pid, signal.SIGINT)
        os.close(end)
        output = b""
        while True:
            try:
                piece = os.read(main, 65536)
            except OSError:
                break
            if not piece:
                break
            output += piece
        os.close(main)
        return process.wait(), output

    def test_ctrl_c_gives_the_partial_answer_and_says_so(self):
        for number in range(3000):
            folder = self.tree / f"d{number}"
            folder.mkdir()
            for file in range(10):
                (folder / f"f{file}").touch()
        status, output = self.on_terminal("--json", interrupt=True)
        self.assertEqual(status, 1, output)
        document = json.loads(output[output.index(b"{"):output.rindex(b"}") + 1])
        self.assertIs(document["partial"], True)
        self.assertIs(document["complete"], False)
        self.assertLess(document["total_files"], 30000)
        self.assertIn(b"only what was found until then", output)
        status, output = self.on_terminal("--json")
        self.assertEqual(status, 0, output)
        document = json.loads(output[output.index(b"{"):output.rindex(b"}") + 1])
        self.assertNotIn("partial", document)
        self.assertEqual(document["total_files"], 30000)

    def test_names_with_escape_sequences_never_reach_the_terminal_raw(self):
        evil = b"\x1b]0;title\x07\x1b[2J\xff"
        folder = os.fsencode(self.tree) + b"/" + evil
        os.makedirs(folder + b"/checkpoint-1")
        for name in [b"/x.ipynb", b"/" + evil, b"/checkpoint-1/w"]:
            with open(folder + name, "wb") as file:
                file.write(b"x")
        writer = self.start(
            ["/usr/bin/python3", "-c", "import sys, time; f = open(sys.argv[1], 'wb'); f.write(bytes(2 << 20)); f.flush(); time.sleep(60)",
             folder + b"/held"], "writer.log")
        wait_for(lambda: os.path.exists(folder + b"/held") and os.path.getsize(folder + b"/held") >= 2 << 20, what="the writer")
        status, output = self.on_terminal()
        self.assertEqual(status, 0, output)
        self.assertIn(b"is writing held to ", output)
        self.assertIn(rb"\x1b[2J", output)
        # Our own progress line is the only one that moves the cursor.
        for allowed in [b"\r\x1b[K", b"\r\n"]:
            output = output.replace(allowed, b"")
        self.assertEqual([byte for byte in output if byte < 0x20], [])
        writer.kill()
