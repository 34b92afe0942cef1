extension SessionTrial {
    /// Python programs and what they start.
    static let python: [SessionTrial] = [
        SessionTrial(kind: .python, title: "python3") { ground in
            ground.run("python3", ["-c", "import os\n" + write(to: ground.file("python"))], leaving: "python")
        },
        SessionTrial(kind: .jupyterKernel, title: "Jupyter kernel") { ground in
            let code = """
                import sys
                try:
                    from jupyter_client.manager import start_new_kernel
                    import ipykernel
                except ImportError:
                    sys.exit(77)
                manager, client = start_new_kernel(startup_timeout=30)
                client.execute_interactive(\"\"\"import os\n\(write(to: ground.file("kernel")))\"\"\", timeout=20)
                client.stop_channels()
                manager.shutdown_kernel(now=True)
                """
            return ground.run(
                "python3", ["-c", code], leaving: "kernel", absentStatus: 77,
                absent: "jupyter_client and ipykernel are not installed", milliseconds: 60_000)
        },
        SessionTrial(kind: .jupyterTerminal, title: "Jupyter terminal") { ground in
            // As jupyter_server_terminals starts it: the server's environment, a terminal, the user's shell as login shell.
            let code = """
                import importlib.util, os, pty, sys
                if importlib.util.find_spec("terminado") is None:
                    sys.exit(77)
                shell = os.environ.get("SHELL") or "sh"
                pid, terminal = pty.fork()
                if pid == 0:
                    os.execvp(shell, [shell, "-l", "-c", "\(TrialGround.write(to: ground.file("terminal")))"])
                try:
                    while os.read(terminal, 65536):
                        pass
                except OSError:
                    pass
                os.waitpid(pid, 0)
                """
            return ground.run(
                "python3", ["-c", code], leaving: "terminal", absentStatus: 77, absent: "terminado is not installed",
                milliseconds: 20_000)
        },
    ]

    private static func write(to file: String) -> String {
        """
        with open('\(file)', 'wb') as f:
            f.write(bytes(1).join(name + b'=' + value for name, value in os.environb.items()))

        """
    }
}
