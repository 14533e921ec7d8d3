"""coord-web in Chromium: every page, what moves on it, and what others wrote as text."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from ports import free_port
from support import BIN, Shell
from web_server import CHROMIUM, WebServer, axe

if missing := WebServer.missing():
    pytest.skip(f"{missing} is not installed: coord-kernel[web]", allow_module_level=True)
if not importlib.util.find_spec("playwright"):
    pytest.skip("playwright is not installed", allow_module_level=True)
if not CHROMIUM:
    pytest.skip("chromium is not installed", allow_module_level=True)

from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "<script>pwned=1</script><img src=x onerror=pwned=1>\"'&amp;{{7*7}}\u202e"
PAGES = ("", "board", "agents", "mail", "leases", "jobs", "events", "graph", "sync")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def web(shell: Shell) -> Iterator[WebServer]:
    shell("msg join --as human:eve; msg join --as bob; msg join")
    server = WebServer(shell)
    server.start()
    yield server
    server.stop()


@contextmanager
def tab(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A page of a fresh profile. Nothing may be said on its console, and no script of others run."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
    page, said = context.new_page(), list[str]()
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
    page.goto(url)
    try:
        yield page
        loud = [line for line in said if line.startswith(("error", "warning", "dialog"))]
        assert not [line for line in loud if "ERR_" not in line], loud
    finally:
        context.close()


def live(page: Page) -> None:
    """Wait until the page follows the store: on a busy machine it asks a few times, 10 s each."""
    page.wait_for_selector('#live[data-state="on"]', timeout=90_000)


def events(shell: Shell, *drafts: dict[str, Any]) -> None:
    shell("ev emit", stdin="".join(json.dumps(draft) + "\n" for draft in drafts))


def fill(shell: Shell) -> dict[str, str]:
    """A store in which every text that others may write is hostile."""
    text = HOSTILE.replace("'", "")
    made = json.dumps({"title": text, "desc": f"{text}\n{text}", "labels": ["<b>x</b>"]})
    first, second = (shell("wk new -o id", stdin=made).out.strip() for _ in range(2))
    shell(f"wk dep {second} {first}; wk claim {first}; wk comment {first} -", stdin=text)
    shell(f"wk ask - --to human:eve --option '<i>yes</i>' --option no --blocks {second}", text)
    message = shell(f"msg send --to human:eve --subject '{text}' --body - -o id", text).out.strip()
    shell("lease acquire 'file:src/<b>/**' --reason '<script>pwned=1</script>'")
    shell("run request -- echo '<script>pwned=1</script>'")
    failed = "run exec -o id -- sh -c 'echo \"<script>pwned=1</script>\"; exit 3'"
    shell(failed, expect=3)
    (job,) = [row["run_id"] for row in shell("run ls --all").lines if row["status"] == "completed"]
    body = {"<b>": text, "status": "waiting", "why": "<script>pwned=1</script>"}
    events(shell, {"type": "note.made", "body": body}, {"type": "agent.seen", "body": body})
    closed = shell(f"wk new -o id '{text}'").out.strip()
    shell(f"wk close {closed} --note '{text}'")
    return {"item": first, "mail": message, "jobs": job, "closed": closed}


def test_every_page_shows_what_others_wrote_as_text_and_is_accessible(
    web: WebServer, shell: Shell, browser: Browser
) -> None:
    ids, rules = fill(shell), axe()
    about = (f"item/{ids['item']}", f"mail/{ids['mail']}", f"jobs/{ids['jobs']}")
    with tab(browser, web.url) as page:
        live(page)
        for n, path in enumerate((*PAGES, *about, f"item/{ids['closed']}")):
            page.goto(f"{web.base}/s/acme/{path}")
            live(page)
            assert page.evaluate("window.pwned") is None, path
            assert page.locator("main script, main img, main i").count() == 0, path
            hint = page.locator("main .hint")
            assert hint.count() or path in about or path.startswith("item/"), (
                f"{path} explains itself"
            )
            if path not in ("sync", "agents"):
                assert "<script>" in page.inner_text("main"), path
            assert "49" not in page.inner_text("main h1")
            if rules:
                page.evaluate(
                    "theme => document.documentElement.dataset.theme = theme",
                    ["light", "dark"][n % 2],
                )
                page.evaluate(rules.read_text())
                wrong = page.evaluate(
                    "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
                    ".filter(v => ['serious', 'critical'].includes(v.impact))"
                    ".map(v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 120)).join(' | '))"
                )
                assert wrong == [], path
        page.set_viewport_size({"width": 390, "height": 844})
        for path in ("", "board", "events", "leases", about[0]):
            page.goto(f"{web.base}/s/acme/{path}")
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 390, f"{path} fits on a phone"
    if not rules:
        pytest.skip("axe-core is not installed: the rest was tested")


def test_claim_answer_and_mail_from_the_page(
    web: WebServer, shell: Shell, browser: Browser
) -> None:
    item = shell("wk new 'Write the parser' -o id").out.strip()
    shell(f"wk ask 'Deploy?' --to human:eve --option yes --option no --blocks {item} -o id")
    shell("msg send --to human:eve --subject Lunch --body 'At noon?' --as bob")
    with tab(browser, web.url) as page:
        live(page)
        page.get_by_role("button", name="Answer no to Deploy?").click()
        expect(page.locator(".toast.good")).to_have_text("Answered")
        expect(page.get_by_role("button", name="Answer no")).to_have_count(0)
        page.get_by_role("button", name="Done: Lunch").click()
        expect(page.locator(".card.mail")).to_have_count(0)
        page.goto(f"{web.base}/s/acme/item/{item}")
        live(page)
        page.get_by_role("button", name="Claim").click()
        expect(page.get_by_role("button", name="Give back")).to_be_visible()
        page.get_by_role("textbox", name="Comment").fill("@/etc/passwd is no file here")
        page.get_by_role("button", name="Comment").click()
        expect(page.locator(".talk .prose")).to_have_text("@/etc/passwd is no file here")
        page.goto(f"{web.base}/s/acme/board")
        page.get_by_text("New work item").click()
        page.get_by_label("Title").fill("--as=bob")
        page.get_by_role("button", name="Create").click()
        expect(page.locator(".column.ready .title")).to_have_text("--as=bob")
        page.goto(f"{web.base}/s/acme/mail")
        page.get_by_text("New message").click()
        page.get_by_label("To", exact=True).fill("nobody")
        page.get_by_label("Subject").fill("x")
        page.get_by_role("button", name="Send").click()
        expect(page.locator(".toast.bad")).to_contain_text("unknown agent: agent:nobody")
    row = shell(f"wk show {item}").one
    assert (row["owner"], row["comments"][0]["by"]) == ("human:eve", "human:eve")
    (question,) = shell("wk ls --kind question --all").lines
    assert (question["answer"], question["answered_by"]) == ("no", "human:eve")


def test_the_slider_moves_the_page_through_the_history(
    web: WebServer, shell: Shell, browser: Browser
) -> None:
    hour = "2026-01-01T{:02}:00:00Z"
    for n, title in ((1, "First"), (2, "Second"), (3, "Third")):
        shell(f"wk new {title}", COORD_NOW=hour.format(n))
    item = shell("wk ls").lines[0]["work_id"]
    shell(f"wk close {item}", COORD_NOW=hour.format(4))
    with tab(browser, f"{web.base}/s/acme/board?span=all&token={web.token}") as page:
        live(page)
        titles = page.locator(".column.ready .title")
        expect(titles).to_have_count(2)
        slider = page.get_by_role("slider", name="Moment")
        slider.evaluate("one => { one.value = 0; one.dispatchEvent(new Event('input')); }")
        expect(titles).to_have_text(["First"])
        expect(page.locator("p.past")).to_contain_text("2026-01-01 01:00:00 UTC")
        assert "at=2026-01-01T01" in page.url, "this moment can be shared"
        page.locator("body").press("]")
        expect(page.locator("p.past")).to_contain_text("04:00:00")
        expect(titles).to_have_count(2)
        page.goto(f"{web.base}/s/acme/board?at={hour.format(2)}")
        expect(titles).to_have_text(["First", "Second"])
        assert page.locator("main form").count() == 0, "nothing can be changed in the past"
        page.get_by_role("link", name="Agents").click()
        expect(page.locator("p.past")).to_contain_text("02:00:00")
        page.locator("body").press("n")
        expect(page.locator("p.past")).to_have_count(0)
        live(page)


def test_two_tabs_live_and_after_a_restart_nothing_lost_or_doubled(
    web: WebServer, shell: Shell, browser: Browser
) -> None:
    with tab(browser, web.url) as one, tab(browser, web.url) as two:
        for page in (one, two):
            page.goto(f"{web.base}/s/acme/events?type=note.*")
            live(page)
        told = "li[data-key] .text"
        events(shell, {"type": "note.made", "body": {"text": "before"}})
        for page in (one, two):
            expect(page.locator(told)).to_have_count(1)
        page.locator("summary").first.click()  # what is open stays open
        web.stop(kill=True)
        expect(one.locator("#live")).to_have_attribute("data-state", "off")
        events(shell, *({"type": "note.made", "body": {"text": f"away {n}"}} for n in range(3)))
        web.start()
        for page in (one, two):
            live(page)
            expect(page.locator(told)).to_have_count(4)
        events(shell, {"type": "note.made", "body": {"text": "after"}})
        for page in (one, two):
            expect(page.locator(told)).to_have_count(5)
            texts = [re.sub(r".* ", "", text) for text in page.locator(told).all_inner_texts()]
            assert texts == ["after", "2", "1", "0", "before"]
        expect(two.locator("details[open]")).to_have_count(1)


def test_what_somebody_types_survives_an_update(
    web: WebServer, shell: Shell, browser: Browser
) -> None:
    item = shell("wk new 'Write the parser' -o id").out.strip()
    with tab(browser, f"{web.base}/s/acme/item/{item}?token={web.token}") as page:
        live(page)
        page.get_by_role("textbox", name="Comment").fill("half a sen")
        shell(f"wk comment {item} other")
        expect(page.locator("#part-timeline .tick, #part-timeline .bar").first).to_be_attached()
        expect(page.get_by_role("textbox", name="Comment")).to_have_value("half a sen")
        page.get_by_role("textbox", name="Comment").fill("half a sentence")
        page.get_by_role("button", name="Comment").click()
        expect(page.locator(".talk li")).to_have_count(2)


def test_one_page_of_several_stores_is_live(shell: Shell, browser: Browser, tmp_path: Path) -> None:
    other = Shell(tmp_path / "other")
    other.cwd.mkdir()
    other("ev init; msg join --as human:eve")
    server = WebServer(shell, str(shell.cwd), str(other.cwd))
    server.start()
    with tab(browser, server.url) as page:
        live(page)
        other("wk ask 'Deploy there?' --to human:eve --as ada")
        expect(page.locator(".repository").nth(1)).to_contain_text("Deploy there?")
        page.get_by_role("button", name="Answer yes").click()
        expect(page.locator(".card.question")).to_have_count(0)
    assert other("wk ls --kind question --all").one["answer"] == "yes"
    server.stop()


def test_palette_keys_and_theme(web: WebServer, shell: Shell, browser: Browser) -> None:
    shell("wk new 'Write the parser'")
    with tab(browser, web.url, color_scheme="light") as page:
        live(page)
        page.keyboard.press("Control+k")
        page.keyboard.type("pars")
        expect(page.locator("#palette-list li").first).to_contain_text("Write the parser")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("Write the parser")
        page.keyboard.press("g")
        page.keyboard.press("b")
        expect(page.locator("h1")).to_have_text("Board")
        page.keyboard.press("t")
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.reload()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_visible()


def test_without_javascript_pages_are_read_and_forms_sent(
    web: WebServer, shell: Shell, browser: Browser
) -> None:
    item = shell("wk new 'Write the parser' -o id").out.strip()
    with tab(browser, web.url, java_script_enabled=False) as page:
        page.get_by_role("link", name="Board").click()
        page.get_by_role("link", name="Write the parser").click()
        page.get_by_role("button", name="Claim").click()
        expect(page.locator(".note.good")).to_have_text("Claimed")
        page.get_by_role("link", name="Board").click()
        page.get_by_label("At", exact=True).fill("2h")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("p.past")).to_contain_text("You see")
        expect(page.locator(".board .row")).to_have_count(0)
    assert shell(f"wk show {item}").one["owner"] == "human:eve"


def test_a_job_that_runs_shows_its_output(web: WebServer, shell: Shell, browser: Browser) -> None:
    (shell.cwd / "job.sh").write_text("echo begun\nread line < go\necho over\n")
    shell("mkfifo go")
    argv = [f"{BIN}/run", "exec", "--as", "bob", "--", "sh", "job.sh"]
    child = subprocess.Popen(argv, cwd=shell.cwd, env=shell.env, stdout=subprocess.DEVNULL)
    with child, (shell.cwd / "go").open("w") as go:
        (job,) = [row["run_id"] for row in shell("run ls").lines]
        with tab(browser, f"{web.base}/s/acme/jobs/{job}?token={web.token}") as page:
            expect(page.locator(".output")).to_contain_text("begun")
            go.write("\n")
            go.close()
            expect(page.locator(".lead .state")).to_have_text("completed")
            expect(page.locator(".output")).to_contain_text("over")


class Evil(BaseHTTPRequestHandler):
    """A page of another origin that tries what it can."""

    target = ""

    def do_GET(self) -> None:
        page = f"""<!doctype html><link rel=icon href="data:,"><iframe src="{self.target}"></iframe>
        <form id=f method=post action="{self.target}do/new" target=w><input name=title value=evil></form>
        <iframe name=w></iframe><p id=out></p><script>
        const tries = ["", "-/stats", "-/find?q=x"].map(async path => {{
          try {{ return await (await fetch("{self.target}" + path, {{credentials: "include"}})).text() }}
          catch (error) {{ return "refused" }} }});
        const events = new Promise(done => {{
          const source = new EventSource("{self.target}-/stream?page=overview", {{withCredentials: true}});
          source.addEventListener("hello", () => done("heard")); source.onerror = () => done("refused") }});
        f.submit();
        Promise.all([...tries, events]).then(all => out.textContent = all.join(" "))
        </script>"""
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *_: object) -> None:
        pass


def test_another_origin_gets_nothing(web: WebServer, shell: Shell, browser: Browser) -> None:
    handler = type("Here", (Evil,), {"target": f"{web.base}/s/acme/"})
    with HTTPServer(("127.0.0.1", free_port()), handler) as evil:
        Thread(target=partial(evil.serve_forever, poll_interval=0.05), daemon=True).start()
        context = browser.new_context()
        page = context.new_page()
        page.goto(web.url)
        page.goto(f"http://127.0.0.1:{evil.server_port}/")
        expect(page.locator("#out")).to_have_text("refused refused refused refused")
        page.goto(f"{web.base}/s/acme/board")
        expect(page.locator("h1")).to_have_text("Board")
        context.close()
        evil.shutdown()
    assert shell("wk ls").lines == []
