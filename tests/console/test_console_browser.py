"""The page in a browser: what it verifies, who can use it, and how it looks.

Takes Debian's Chromium and Playwright (`apt-get install chromium`, `pip install
playwright`), and for one of them axe-core (`pip install axe-core-python`, whose script
is under MPL-2.0). With CONSOLE_PICTURES set to a folder, pictures are written there.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from biometrics.audit.checkpoint import Checkpoint, is_of, next_life, origin_of
from biometrics.audit.tree import Range, consistency, leaf_hash
from biometrics.signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page, Route

    from tests.console.console_world import ConsoleWorld

CHROMIUM = shutil.which("chromium")
SECONDS = 10_000.0  # in Playwright's unit
PICTURES = os.environ.get("CONSOLE_PICTURES")
MEMORY = "biometrics-log"

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
    pytest.mark.skipif(
        find_spec("playwright") is None, reason="Playwright is not installed"
    ),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Return a browser without a window."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        # Without its sandbox, which needs rights that a container does not give.
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


Opened = Any


@pytest.fixture
def visit(world: ConsoleWorld, chromium: Browser) -> Callable[..., Opened]:
    """Return what opens the page as somebody, and fails if a browser complains."""

    @contextmanager
    def opened(
        who: str = "XAA-auditor", width: int = 1200, **more: object
    ) -> Iterator[Page]:
        origin = f"https://localhost:{world.port}"
        context = chromium.new_context(
            ignore_https_errors=True,
            viewport={"width": width, "height": 900},
            client_certificates=[
                {
                    "origin": origin,
                    "certPath": world.root / f"pki/{who}.pem",
                    "keyPath": world.root / f"pki/{who}.key",
                }
            ],
            **cast("Any", more),
        )
        complaints: list[str] = []
        page = context.new_page()
        page.set_default_timeout(SECONDS)
        page.on("console", lambda told: complaints.append(told.text))
        page.on("pageerror", lambda told: complaints.append(str(told)))
        page.on(
            "request",
            lambda asked: (
                complaints.append(asked.url)
                if not asked.url.startswith(f"{origin}/")
                else None
            ),
        )
        page.goto(f"{origin}/")
        yield page
        context.close()
        assert complaints == []

    return opened


def verdict(page: Page) -> tuple[str, str]:
    """Return what became of the verification: its kind, and its words."""
    page.locator("#verdict:not([data-kind='none'])").wait_for()
    found = page.locator("#verdict")
    return found.get_attribute("data-kind") or "", found.inner_text()


def remember(page: Page, **changed: object) -> dict[str, Any]:
    """Change what the browser keeps of the log; return what it kept before."""
    kept: dict[str, Any] = json.loads(
        page.evaluate("key => localStorage.getItem(key)", MEMORY)
    )
    (name,) = kept["logs"]
    edited = {
        "key": changed.pop("key", kept["key"]),
        "logs": {changed.pop("origin", name): kept["logs"][name] | changed},
    }
    page.evaluate(
        "([key, text]) => localStorage.setItem(key, text)",
        [MEMORY, json.dumps(edited)],
    )
    return kept


def test_the_log_is_verified_and_then_that_it_has_only_grown(
    world: ConsoleWorld, visit: Callable[..., Opened]
):
    """At first the signature, and from then on every leaf that was seen."""
    with visit() as page:
        kind, told = verdict(page)
        assert kind == "good"
        assert told.startswith("Signature verified. This browser sees the log for the")
        for searches in (1, 0, 3):
            world.search(searches)
            page.reload()
            kind, told = verdict(page)
            assert kind == "good"
            assert told.startswith("Verified. The signature is by the key below")
        assert "leaves, on " in page.locator("#before").inner_text()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"root": "A" * 43 + "="}, "saw before is not in the log any more"),
        ({"size": 10**9}, "some were taken away"),
        ({"key": "another.test/log+00000000+AAAA"}, "now the exchange names another"),
    ],
)
def test_a_log_that_was_rewritten_is_told_and_what_was_seen_is_kept(
    world: ConsoleWorld,
    visit: Callable[..., Opened],
    changed: dict[str, Any],
    told: str,
):
    """Whether leaves were changed, taken away, or signed by somebody else."""
    with visit() as page:
        verdict(page)
        remember(page, **changed)
        world.search(1)
        for _ in range(2):  # it does not get used to it
            page.reload()
            kind, said = verdict(page)
            assert kind == "bad"
            assert said.startswith("DOES NOT VERIFY.")
            assert told in said


def test_a_log_that_was_restored_is_another(visit: Callable[..., Opened]):
    """It is signed by the same key, and told to be another."""
    with visit() as page:
        verdict(page)
        remember(page, origin="exchange.test/log.0")
        page.reload()
        kind, told = verdict(page)
        assert kind == "wait"
        assert "was restored from a backup" in told


def test_logs_are_named_as_the_exchange_names_them(visit: Callable[..., Opened]):
    """After a restore and another one; and no other log is taken for one of the key."""
    key = SigningKey.generate("exchange.test/log", os.urandom)
    second = next_life("1", bytes(32))
    lives = ["1", "2", second, next_life(second, bytes([255]) * 32)]
    names = [origin_of("exchange.test/log", life) for life in lives]
    names += [f"{names[2]}0", f"{names[0]}2", f"{names[0]}.", "exchange.test/lo.2", "x"]
    notes = [
        Checkpoint(origin=each, size=1, root=bytes(32)).signed_by(key).decode()
        for each in names
    ]
    with visit() as page:
        found = page.evaluate(
            """async ([key, notes]) => {
              const { readKey, readCheckpoint } = await import("/verify.js");
              const read = async (note) =>
                readCheckpoint(note, await readKey(key)).then(() => true, () => false);
              return Promise.all(notes.map(read));
            }""",
            [key.verifier.text, notes],
        )
    assert found == [is_of(each, key.verifier) for each in names]
    assert found == [True] * 4 + [False] * 5


@pytest.mark.parametrize("what", ["signature", "size", "root"])
def test_a_checkpoint_that_is_not_what_was_signed_is_refused(
    visit: Callable[..., Opened], what: str
):
    """Whatever of it was changed on the way."""
    with visit() as page:
        verdict(page)

        def forged(route: Route) -> None:
            answer = route.fetch()
            head, mark, rest = answer.text().partition('id="checkpoint"')
            note, _, tail = rest.partition("</pre>")
            lines = note.split("\n")
            if what == "signature":
                lines[4] = lines[4][:-8] + "AAAAAA=="
            elif what == "size":
                lines[1] = str(int(lines[1]) + 1)
            else:
                lines[2] = "A" * 43 + "="
            body = head + mark + "\n".join(lines) + "</pre>" + tail
            route.fulfill(response=answer, body=body)

        page.route("**/", forged)
        page.reload()
        kind, told = verdict(page)
        assert kind == "bad"
        assert "it is not signed by exchange.test/log" in told


def test_without_ed25519_nothing_is_said_to_be_verified(visit: Callable[..., Opened]):
    """An old browser is told so, and what to take."""
    script = """
        const known = crypto.subtle.importKey.bind(crypto.subtle);
        crypto.subtle.importKey = (format, key, algorithm, ...rest) =>
          algorithm.name === "Ed25519"
            ? Promise.reject(new DOMException("unknown", "NotSupportedError"))
            : known(format, key, algorithm, ...rest);
    """
    with visit() as page:
        page.add_init_script(script)
        page.reload()
        kind, told = verdict(page)
        assert kind == "wait"
        assert told.startswith("Nothing is verified. This browser knows no Ed25519")


def test_without_scripts_the_page_is_whole_and_says_so(visit: Callable[..., Opened]):
    """Nothing but the verification needs one."""
    with visit(java_script_enabled=False) as page:
        assert page.locator("h2").count() == 5
        told = page.locator("#verdict").inner_text()
        assert told.startswith("Nothing is verified. This browser runs no script here")


def test_proofs_are_those_of_the_standard_at_every_size(visit: Callable[..., Opened]):
    """As the exchange's own code makes them; and at sizes beyond 32 bits."""
    pairs = [(m, n) for n in range(1, 34) for m in range(1, n + 1)]
    pairs += [(255, 256), (256, 257), (300, 70_000), (65_536, 70_001)]
    pairs += [(2**31 - 1, 2**31 + 5), (2**40 + 3, 2**53 - 1), (1, 2**52)]
    expected = [
        [[list(span) for span in each] for each in consistency(m, n)] for m, n in pairs
    ]
    with visit() as page:
        found = page.evaluate(
            """async (pairs) => {
              const { consistency } = await import("/verify.js");
              return pairs.map(([before, size]) => consistency(before, size));
            }""",
            pairs,
        )
        assert found == expected
        assert page.evaluate(
            """async () => (await import("/verify.js")).tilePath(1, 1234067, 5)"""
        ).endswith("/log/tile/1/x001/x234/067.p/5")


def test_a_log_of_several_tiles_is_verified_out_of_them(visit: Callable[..., Opened]):
    """And a tile that was changed is found out."""
    leaves = [leaf_hash(bytes([n % 256, n // 256])) for n in range(600)]
    levels = [leaves, [Range.of(leaves[i : i + 256]).root for i in (0, 256)]]
    roots = {n: Range.of(leaves[:n]).root.hex() for n in (3, 256, 257, 300, 512, 600)}
    with visit() as page:
        told = page.evaluate(
            """async ([levels, roots]) => {
              const { prove, checkConsistency, Broken } = await import("/verify.js");
              const bytes = (hex) =>
                Uint8Array.from(hex.match(/../g), (b) => parseInt(b, 16));
              const tile = async (level, number, width) =>
                levels[level].slice(256 * number, 256 * number + width).map(bytes);
              const sizes = Object.keys(roots).map(Number).sort((a, b) => a - b);
              const told = [];
              for (const before of sizes) for (const size of sizes) if (before < size) {
                const at = (n) => ({ size: n, root: bytes(roots[n]) });
                const proof = await prove(before, size, tile);
                await checkConsistency(at(before), at(size), proof);
                proof[proof.length - 1][0] ^= 1;
                try {
                  await checkConsistency(at(before), at(size), proof);
                  told.push(`${before} to ${size}`);
                } catch (error) {
                  if (!(error instanceof Broken)) throw error;
                }
              }
              return told;
            }""",
            [[[each.hex() for each in level] for level in levels], roots],
        )
        assert told == []


@pytest.mark.parametrize(
    ("who", "width", "scheme"),
    [
        ("XAA-auditor", 360, "light"),
        ("XAA-auditor", 1200, "dark"),
        ("XAA-coordinator", 360, "dark"),
        ("XAA-coordinator", 1200, "light"),
    ],
)
def test_the_page_fits_and_is_accessible(
    visit: Callable[..., Opened], who: str, width: int, scheme: str
):
    """Narrow and wide, light and dark, with everything unfolded."""
    with visit(who, width, color_scheme=scheme) as page:
        verdict(page)
        for details in page.locator("details").all():
            details.locator("summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if PICTURES:
            path = Path(PICTURES) / f"{who.lower()}-{scheme}-{width}.png"
            page.locator("details").first.locator("summary").click()
            page.screenshot(path=path, full_page=True)
            page.locator("details").first.locator("summary").click()
        axe = find_spec("axe_core_python")
        if axe is None or axe.origin is None:
            pytest.skip("axe-core is not installed")
        page.evaluate((Path(axe.origin).parent / "axe.min.js").read_text("utf-8"))
        found = page.evaluate("axe.run()")
        assert len(found["passes"]) > 15
        assert [each["id"] for each in found["violations"]] == []


def test_the_keyboard_is_enough(visit: Callable[..., Opened]):
    """The first stop skips to the content; every part that scrolls can be reached."""
    with visit(width=360) as page:
        verdict(page)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.locator(".skip").bounding_box()["x"] >= 0
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        reached = set()
        for _ in range(30):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.ariaLabel"))
            if page.evaluate(
                "document.activeElement.matches('details:not([open]) > *')"
            ):
                page.keyboard.press("Enter")
        shown = page.locator(".scroller").evaluate_all(
            "all => all.map(e => e.ariaLabel)"
        )
        assert set(shown) <= reached
        assert page.locator("details[open]").count() == page.locator("details").count()


def test_whoever_wants_no_motion_gets_none(visit: Callable[..., Opened]):
    """Links within the page jump."""
    style = "getComputedStyle(document.documentElement).scrollBehavior"
    with visit(reduced_motion="reduce") as page:
        assert page.evaluate(style) == "auto"
