"""A person at a terminal: a program on a pseudo-terminal, what it shows, and what is typed."""

import fcntl
import os
import pty
import select
import subprocess
import termios
import time


class Terminal:
    """Runs argv with a terminal of its own. Ends it when left."""

    def __init__(self, argv):
        self.master, slave = pty.openpty()
        self.text = ""
        self.process = subprocess.Popen([str(a) for a in argv], stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)

    def _read(self, deadline):
        """Takes what is shown next; False at the end."""
        ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            raise AssertionError(f"the terminal shows no more than:\n{self.text}")
        try:
            text = os.read(self.master, 65536).decode(errors="replace")
        except OSError:  # EIO: nobody has the other end open.
            return False
        self.text += text
        return bool(text)

    def wait_for(self, text, seconds=20):
        """Reads until the text is shown; answers all up to its end and forgets that."""
        deadline = time.monotonic() + seconds
        while text not in self.text:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} is not shown, but:\n{self.text}")
        shown, _, self.text = self.text.partition(text)
        return shown + text

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self, seconds=20):
        """Waits for the program's end; answers its exit status and what was shown since the last wait_for."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        return self.process.wait(timeout=max(0.1, deadline - time.monotonic())), self.text
