#!/usr/bin/python3
"""docs/conformance.md: what a program can ask of a socket, and what it gets over tas, made of libtas/intercept.def,
libtas/surface.def, the differences on record, and what the cases of tests/preload were seen to use (tests/recorder).

    conformance.py make BUILD                     runs every program on the kernel under the recorder and writes the page
    conformance.py check RECORDS [CASES]          the page is as it would be made, every row is shown, CASES cases at least ran
    conformance.py compare PROGRAM KERNEL TAS     two outputs of a program differ where, and as, it is on record
"""
import concurrent.futures
import difflib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/conformance.md"
DIFFERENCES = ROOT / "tests/preload/differences"
NAMED = 3  # cases that a new row names at most

HEAD = """# Conformance

What a program that runs over tas finds different from Linux, call by call. Made by `make conformance` of `libtas/intercept.def`,
`libtas/surface.def` and what the differential suite (`tests/preload`) uses: do not edit. Every case of that suite runs on the
kernel's TCP and on tas, and what it prints must be the same; a difference on purpose is on record and must stay as it is.

**same**: results, errno, events and bytes are as on the kernel; the cases named at the end of the row use it, and the suite fails
when none does. **different**: how, and why. **refused**: fails with this errno.

On descriptors that are not of tas (files, pipes, UDP, UNIX sockets, TCP sockets that tas does not serve) every call is libc's own.
A call that is not listed is libc's own on every descriptor: on one of tas it reaches the kernel's socket that stands behind it,
which has its number, its flags and its ownership, and no connection. Calls that the kernel makes without libc, by raw system calls
or io_uring, meet that socket too.
"""

POINTERS = """
## Pointers

NULL, addresses of the kernel, addresses that are not canonical and lengths that overflow give EFAULT, as on the kernel. Other wild
pointers (memory that is not mapped, or not writable) may fault as memcpy() does, with SIGSEGV, where the kernel returns EFAULT:
bytes are copied by the program's own thread, and to ask the kernel about every buffer would cost more than the copy.
"""


def strip_comments(text):
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


def rows_of(text, kinds):
    """Each KIND(...) of the text, with its arguments split at the top level: (kind, [arguments])."""
    for m in re.finditer(r"^(%s)\(" % "|".join(kinds), strip_comments(text), flags=re.M):
        args, depth, quoted, arg = [], 0, False, ""
        for c in m.string[m.end():]:
            if c == '"':
                quoted = not quoted
            if not quoted and c == ")" and depth == 0:
                break
            if not quoted and c == "," and depth == 0:
                args.append(arg.strip())
                arg = ""
                continue
            depth += 0 if quoted else {"(": 1, ")": -1}.get(c, 0)
            arg += c
        yield m.group(1), args + [arg.strip()]


def verdict_of(text):
    m = re.fullmatch(r'(SAME|SAME_SO|DIFFERENT|REFUSED)(\((.*)\))?', text, flags=re.S)
    if m is None:
        sys.exit("surface.def: not a verdict: %s" % text)
    note = "".join(re.findall(r'"([^"]*)"', m.group(3) or ""))
    if (m.group(1) != "SAME") != bool(note):
        sys.exit("surface.def: SAME has no note, all else has one: %s" % text)
    return {"SAME": "same", "SAME_SO": "same", "DIFFERENT": "different", "REFUSED": "refused"}[m.group(1)], note


def read_calls():
    """Calls in the order of intercept.def, {name: verdict}, and {name: [other names]}."""
    text = (ROOT / "libtas/intercept.def").read_text()
    first = [r"LT_DATA", r"LT_RIGHTS", r"LT_FD", r"LT_ANY", r"LT_VA", r"LT_VOID", r"LT_STREAM", r"LT_LIST", r"LT_ALIAS"]
    calls, aliases = [], {}
    for kind, args in rows_of(text, first):
        if kind == "LT_ALIAS":
            aliases.setdefault(args[1], []).append(args[0])
        else:
            calls.append(args[1] if kind in ("LT_DATA", "LT_RIGHTS", "LT_FD", "LT_ANY", "LT_VA") else args[0])
    return calls, aliases


def read_surface():
    """[(kind, family or level, name, verdict, note)], and {call: (verdict, note)}."""
    text = (ROOT / "libtas/surface.def").read_text()
    rows, notes = [], {}
    for kind, args in rows_of(text, ["LT_OPTION", "LT_REQUEST", "LT_FLAG", "LT_CALL_NOTE"]):
        if kind == "LT_CALL_NOTE":
            notes[args[0]] = verdict_of(",".join(args[1:]))
        else:
            rows.append((kind[3:].lower(), args[0], args[1]) + verdict_of(",".join(args[2:])))
    return rows, notes


def read_records(directory):
    """{row: [cases that used it]}, and how many cases there are."""
    used, cases = {}, 0
    for path in sorted(pathlib.Path(directory).iterdir()):
        program, case = re.fullmatch(r"preload_([^.]*)\.(.*)", path.name).groups()
        cases += 1
        for line in path.read_text().splitlines():
            if line.startswith("+ "):
                used.setdefault(line[2:].strip(), []).append("%s/%s" % (program, case))
    return used, cases


def read_differences():
    """{program/case: (reason, [lines])}"""
    found = {}
    for path in sorted(DIFFERENCES.glob("*")):
        lines = path.read_text().splitlines()
        reason = " ".join(line[2:] for line in lines if line.startswith("# "))
        if not reason:
            sys.exit("%s: gives no reason (a line that begins with '# ')" % path)
        found[path.name.replace(".", "/", 1)] = (reason, [line for line in lines if not line.startswith("# ")])
    return found


def read_page():
    """{(title, first cell): [cases]} of the page as it is: a row goes on naming them, so that the page changes seldom."""
    named, title = {}, ""
    for line in PAGE.read_text().splitlines() if PAGE.exists() else []:
        title = line[3:] if line.startswith("## ") else title
        cells = line.split(" | ")
        if line.startswith("| `") and len(cells) == 4:
            named[title, cells[0]] = [c for c in cells[3].rstrip("| ").split(", ") if c]
    return named


class Page:
    def __init__(self, records):
        self.named = read_page()
        self.calls, self.aliases = read_calls()
        self.surface, self.notes = read_surface()
        self.used, self.cases = read_records(records)
        self.unshown = [name for name in self.notes if name not in self.calls]
        if self.unshown:
            sys.exit("surface.def: notes on what is no call of intercept.def: %s" % " ".join(self.unshown))

    def table(self, title, what, rows):
        out = "\n## %s\n\n| %s | | how, why | shown by |\n|---|---|---|---|\n" % (title, what)
        for first, key, verdict, note in rows:
            cases = sorted(self.used.get(key, []))
            if verdict == "same" and not cases:
                self.unshown.append(key)
            shown = [c for c in self.named.get((title, "| " + first), []) if c in cases] or cases[:NAMED]
            out += "| %s | %s | %s | %s |\n" % (first, verdict, note, ", ".join(shown))
        return out

    def call_rows(self):
        for name in self.calls:
            names = "".join(", `%s`" % n for n in self.aliases.get(name, []))
            yield ("`%s`%s" % (name, names), "call " + name) + self.notes.get(name, ("same", ""))

    def surface_rows(self, kind, family):
        for k, f, name, verdict, note in self.surface:
            if (k, f) == (kind, family):
                yield "`%s`" % name, "%s %s %s" % (k, f, name), verdict, note

    def text(self):
        titles = {"option": "Options of %s", "request": "Requests of %s", "flag": "Flags of %s"}
        out = HEAD + self.table("Calls", "call", self.call_rows())
        for kind, family in dict.fromkeys((k, f) for k, f, *_ in self.surface):
            name = "control messages" if family == "control" else family
            out += self.table(titles[kind] % name, kind, self.surface_rows(kind, family))
        out += POINTERS
        differences = read_differences()
        if differences:
            out += "\n## Cases that end otherwise on tas\n\n"
            out += "".join("- %s: %s\n" % (case, reason) for case, (reason, _) in differences.items())
        return out


def split_cases(path):
    """{case: [lines]}; what does not begin with a case's name belongs to the one before."""
    cases, name = {}, ""
    for line in pathlib.Path(path).read_text(errors="backslashreplace").splitlines():
        m = re.match(r"([A-Za-z0-9_.]+): ", line)
        name = m.group(1) if m else name
        cases.setdefault(name, []).append(line)
    return cases


def compare(program, kernel, tas):
    kernel, tas = split_cases(kernel), split_cases(tas)
    recorded = {case.split("/")[1]: lines for case, (_, lines) in read_differences().items()
                if case.split("/")[0] == program}
    wrong = 0
    for case in list(kernel) + [c for c in list(tas) + list(recorded) if c not in kernel]:
        diff = [d for d in difflib.unified_diff(kernel.get(case, []), tas.get(case, []), n=0, lineterm="")
                if not d.startswith(("---", "+++", "@@"))]
        if diff == recorded.get(case, []):
            continue
        wrong += 1
        print("%s/%s: the kernel (-) and tas (+):" % (program, case), *diff or ["(the same)"], sep="\n\t", file=sys.stderr)
        if case in recorded:
            print("\tand on record is:", *recorded[case], sep="\n\t", file=sys.stderr)
    return 1 if wrong else 0


def check(records, at_least):
    page = Page(records)
    text = page.text()
    wrong = []
    if not PAGE.exists() or PAGE.read_text() != text:
        old = PAGE.read_text() if PAGE.exists() else ""
        sys.stderr.writelines(difflib.unified_diff(old.splitlines(True), text.splitlines(True), "docs/conformance.md", "as made", n=0))
        wrong.append("docs/conformance.md is not what would be made: run `make conformance`")
    if page.unshown:
        wrong.append("said to be the same, and no case uses: " + "; ".join(dict.fromkeys(page.unshown)))
    if page.cases < at_least:
        wrong.append("%d cases, not %d" % (page.cases, at_least))
    for w in wrong:
        print("conformance: " + w, file=sys.stderr)
    return 1 if wrong else 0


def make(build):
    build = pathlib.Path(build).resolve()
    programs = sorted(p.stem for p in (ROOT / "tests/preload").glob("*.c"))
    with tempfile.TemporaryDirectory() as records, concurrent.futures.ThreadPoolExecutor(2) as pool:
        env = dict(os.environ, RECORD_DIR=records, LD_PRELOAD=str(build / "lib/libtas_record.so"))

        def run(name):
            return subprocess.run([build / "bin" / ("preload_" + name)], env=env, stdout=subprocess.DEVNULL, timeout=300).returncode

        for name, status in zip(programs, pool.map(run, programs)):
            if status != 0:
                sys.exit("%s on the kernel: status %d" % (name, status))
        page = Page(records)
        PAGE.write_text(page.text())
    for row in dict.fromkeys(page.unshown):
        print("conformance: said to be the same, and no case uses: " + row, file=sys.stderr)
    print("conformance: %d cases" % page.cases)
    return 1 if page.unshown else 0


def main(args):
    if len(args) == 2 and args[0] == "make":
        return make(args[1])
    if len(args) in (2, 3) and args[0] == "check":
        return check(args[1], int(args[2]) if len(args) == 3 else 0)
    if len(args) == 4 and args[0] == "compare":
        return compare(*args[1:])
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
