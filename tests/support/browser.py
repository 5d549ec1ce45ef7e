"""A headless Chromium that shows the review page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

# Elements of a selector that may show a text: those that contain it, apart from spaces and capitals. For
# each of these Selenium then runs thousands of lines of JavaScript to say whether it is shown.
_MAY_SHOW = """
const [selector, text] = arguments;
const bare = (text) => text.replace(/\\s+/g, "").toLowerCase();
return [...document.querySelectorAll(selector)].filter(
  (one) => bare(one.textContent).includes(bare(text)));
"""
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WAIT_SECONDS = 300.0


def missing() -> str:
    """How to get a browser; empty if there is one."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "pip install -e '.[test]'"
    if _program() is None or shutil.which("chromedriver") is None:
        return "apt-get install chromium chromium-driver"
    return ""


def _program() -> str | None:
    return next((path for path in map(shutil.which, _PROGRAMS) if path), None)


@contextmanager
def opened_browser(width: int = 1280, height: int = 900) -> Iterator[Chrome]:
    """A browser without a profile. It reports its console."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(_program())
    switches = ["--headless=new", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"]
    if os.getuid() == 0:
        # Chromium refuses to run as root with its sandbox.
        switches.append("--no-sandbox")
    for switch in switches:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        resize(browser, width, height)
        yield browser
    finally:
        browser.quit()


def resize(browser: Chrome, width: int, height: int) -> None:
    """Set the size of the page; windows have a least size, pages have none."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def set_colours(browser: Chrome, scheme: str) -> None:
    """scheme: light or dark."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def wait_for(browser: Chrome, selector: str, text: str = "", *, shown: bool = True) -> Any:
    """The first element that matches the CSS selector and contains `text`, once there is one. shown: it
    must be visible."""
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    def found(_: Any) -> Any:
        elements = browser.execute_script(_MAY_SHOW, selector, text)
        return next((one for one in elements if fits(one)), None)

    def fits(element: Any) -> bool:
        if not shown:
            return text in element.get_property("textContent")
        return element.is_displayed() and text in element.text

    what = f"{selector} with {text!r}" if text else selector
    ignored: Any = _stale()
    # Each look keeps three processes busy that what is waited for needs too.
    waiting = WebDriverWait(browser, WAIT_SECONDS, 0.2, ignored_exceptions=ignored)
    try:
        return waiting.until(found)
    except TimeoutException:
        # The page as it is at the end.
        page = browser.find_element(By.TAG_NAME, "main").get_attribute("outerHTML") or ""
        pytest.fail(f"no {what} on the page:\n{page[-3000:]}")


def _stale() -> tuple[type[Exception], ...]:
    from selenium.common.exceptions import StaleElementReferenceException

    return (StaleElementReferenceException,)


def serious_problems(browser: Chrome) -> list[str]:
    """What axe-core finds on the shown page that is serious or critical, as `rule: element`."""
    import axe_core_python

    source = os.path.join(os.path.dirname(axe_core_python.__file__), "axe.min.js")
    with open(source, encoding="utf-8") as file:
        browser.execute_script(file.read())
    found = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
