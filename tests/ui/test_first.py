"""The first five minutes: `keepwell up` says where the pages are, and opens the browser when asked."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from pages import BROWSER, quiet, words_of
from projects import tiny_project

pytestmark = pytest.mark.sqlite("looks at what the other tests of pages have asked of every store")


def test_up_prints_the_address_and_opens_the_browser_when_asked(tmp_path: Path) -> None:
    folder, opened = quiet(tiny_project(tmp_path / "tiny")), tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    settings = {**os.environ, "KEEPWELL_SERVE__PORT": "0", "BROWSER": f"{browser} %s"}
    line = [sys.executable, "-m", "keepwell", "-C", str(folder), "up", "--open"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=settings) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", said)
            assert address is not None, said
            page = words_of(httpx.get(address[0], headers=BROWSER, timeout=20).text)
            assert "What to type next" in page and "keepwell run --build" in page
            for _ in range(100):
                if opened.exists() and opened.read_text():
                    break
                time.sleep(0.05)
            assert opened.read_text().strip() == address[0]
        finally:
            process.send_signal(signal.SIGTERM)
