# SPDX-License-Identifier: BSD-3-Clause
"""What compare.py measured, for people, for machines, and for docs/performance.md."""
import json
import os
import platform
import re
import statistics
import subprocess
import time

BEGIN = "<!-- make bench: begin -->"
END = "<!-- make bench: end -->"
OURS = "weir"
PEERS = ("testpmd", "Open vSwitch")
MORE_IS_BETTER = ("Mpps", "least to most, %")
ANYWHERE = ("MB", "% of a core")  # what the distance of the cores does not change
FAR_NS = 200  # a cache line there and back: about 85 ns, or 365
# line: (file name, title, label of the axis, logarithmic)
CHARTS = {
    "guest to guest": ("guest-to-guest", "From guest to guest, one back-end core", "Mpps", False),
    "guest to guest, back-end": ("cycles", "Back-end cycles a frame, guest to guest",
                                 "cycles", True),
    "loopback": ("loopback", "There and back, one back-end core", "Mpps", False),
    "round trip": ("round-trip", "Round trip of one 64-byte frame", "us", True),
}


def _first_line(*command):
    try:
        return subprocess.run(command, text=True, capture_output=True, timeout=10,
                              check=True).stdout.splitlines()[0]
    except (OSError, IndexError, subprocess.SubprocessError):
        return "unknown"


def _machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    return {
        "cpu": model[1] if model else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "dpdk": _first_line("pkg-config", "--modversion", "libdpdk"),
        "ovs": _first_line("ovs-vsctl", "--version").split()[-1],
        "commit": _first_line("git", "-C", os.path.dirname(os.path.abspath(__file__)),
                              "rev-parse", "--short", "HEAD"),
        "load": os.getloadavg()[0],
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def write_json(run, path):
    """All samples, as they are: the file is whole after every visit."""
    about = getattr(run, "about", None)
    if about is None:
        about = run.about = {"command": run.options.command, **_machine()}
    about["seconds_taken"] = round(time.monotonic() - run.options.start)
    about["failures"] = run.options.failures
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump({"about": about, "samples": run.samples}, file, indent=1)
    os.rename(path + ".new", path)


def read_json(run, path):
    with open(path, encoding="utf-8") as file:
        read = json.load(file)
    run.about, run.samples = read["about"], read["samples"]
    run.options.failures = []


def _placed(sample):
    """Whether the cores were near or far during a slice; or moved: then it is put aside."""
    places = {"near" if ns < FAR_NS else "far"
              for ns in (sample["distance_ns"], sample.get("distance_after_ns")) if ns}
    return places.pop() if len(places) == 1 else "moved"


class Row:
    """A case, of slices on near cores or of slices on far ones, never of both together."""

    def __init__(self, line, case, unit, place, values):
        self.line, self.case, self.unit, self.place = line, case, unit, place
        self.n = {peer: len(of) for peer, of in values.items()}
        self.figures = {peer: (statistics.median(of), min(of), max(of))
                        for peer, of in values.items() if of}

    def ratio(self, peer):
        """Ours to a peer's: above 1 ours is better."""
        ours, theirs = self.figures.get(OURS), self.figures.get(peer)
        if ours is None or theirs is None or ours[0] <= 0 or theirs[0] <= 0:
            return None
        ratio = ours[0] / theirs[0]
        return ratio if self.unit in MORE_IS_BETTER else 1 / ratio

    def slices(self, names):
        """How many each figure is the median of."""
        return " ".join(str(self.n.get(name, 0)) for name in names)


def _rows_of(line, case, unit, placed):
    """@placed is {place: {peer: values}}: a row for each place with all that have a figure."""
    if unit in ANYWHERE:
        values = {}
        for of in placed.values():
            for peer, more in of.items():
                values.setdefault(peer, []).extend(more)
        return [Row(line, case, unit, "any", values)]
    main = {peer for of in placed.values() for peer in of if peer in (OURS, *PEERS)}
    full = [place for place in ("near", "far") if placed.get(place) and main <= set(placed[place])]
    # Where no distance has them all: what there is, which may give no ratio.
    shown = full or [place for place in ("near", "far") if placed.get(place)]
    return [Row(line, case, unit, place, placed[place]) for place in shown]


def _idle_guests(found):
    """What each idle guest adds to the round trip of the one that is not."""
    trips = [row for row in found if row.line == "scale, round trip" and "p50" in row.case]
    ones = {row.place: row for row in trips if row.case.startswith("1 of 1 ")}
    for row in trips:
        n = int(row.case.split()[2])
        one = ones.get(row.place)
        if n == 1 or one is None:
            continue
        added = Row("each idle guest adds to a round trip", f"of {n} guests, p50", "ns", row.place,
                    {})
        for peer in set(row.figures) & set(one.figures):
            ns = 1000 * (row.figures[peer][0] - one.figures[peer][0]) / (n - 1)
            added.figures[peer] = (ns, ns, ns)
            added.n[peer] = row.n[peer]
        if added.figures:
            yield added


def rows(run):
    by_case = {}
    for sample in run.samples:
        key = (sample["line"], sample["case"], sample["unit"])
        value = sample["best"] if run.options.best and "best" in sample else sample["value"]
        placed = by_case.setdefault(key, {})
        placed.setdefault(_placed(sample), {}).setdefault(sample["peer"], []).append(value)
    found = [row for key, placed in by_case.items() for row in _rows_of(*key, placed)]
    found += _idle_guests(found)
    order = list(dict.fromkeys(row.line for row in found))
    return sorted(found, key=lambda row: order.index(row.line))


def _aside(run):
    """(slices put aside because the cores moved, of how many)."""
    timed = [sample for sample in run.samples if sample["unit"] not in ANYWHERE]
    slices = {(s["peer"], s["distance_ns"], s.get("distance_after_ns")): s for s in timed}
    return sum(_placed(s) == "moved" for s in slices.values()), len(slices)


def _number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"


def _cell(figure):
    if figure is None:
        return "-"
    median, low, high = figure
    text = _number(median)
    return text if low == high else f"{text} ({_number(low)} to {_number(high)})"


def _peers(of):
    names = [OURS, *PEERS]
    names += sorted({peer for row in of for peer in row.figures} - set(names))
    return [name for name in names if any(name in row.figures for row in of)]


def tables(run):
    """(line, unit, head, rows of text) of each line."""
    all_rows = rows(run)
    for line in dict.fromkeys(row.line for row in all_rows):
        of = [row for row in all_rows if row.line == line]
        names = _peers(of)
        ratios = [peer for peer in PEERS if any(row.ratio(peer) for row in of)]
        head = ["", "cores", *names, *(f"weir : {peer}" for peer in ratios), "slices"]
        body = []
        for row in of:
            cells = [_cell(row.figures.get(name)) for name in names]
            cells += [f"{row.ratio(peer):.2f}" if row.ratio(peer) else "-" for peer in ratios]
            body.append([row.case, row.place, *cells, row.slices(names)])
        yield line, of[0].unit, head, body


def _distances(run):
    seen = [s["distance_ns"] for s in run.samples if s["distance_ns"]]
    if not seen:
        return "not measured"
    return (f"{min(seen):.0f} to {max(seen):.0f} ns apart, {_aside(run)[0]} of {_aside(run)[1]} "
            "slices put aside because they moved")


def _sleeping(run):
    """Throughput of a weir that may sleep to that of one that never does."""
    for row in rows(run):
        if row.line == "loopback" and {"weir, never asleep", OURS} <= set(row.figures):
            return row.figures[OURS][0] / row.figures["weir, never asleep"][0]
    return None


def show(run):
    for line, unit, head, body in tables(run):
        widths = [max(len(r[i]) for r in [head, *body]) for i in range(len(head))]
        print(f"\n{line} ({unit})")
        for cells in [head, *body]:
            print("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                            for i, (cell, w) in enumerate(zip(cells, widths))))
    if _sleeping(run):
        print(f"\nthroughput, may sleep : never asleep {_sleeping(run):.3f}")
    about = run.about
    print(f"\ncores {_distances(run)}; load {about['load']:.1f} at the start; "
          f"{about['seconds_taken']} s")
    for failure in about["failures"]:
        print(f"FAILED: {failure}")


def charts(run, out):
    """SVG files by gnuplot, one for each of CHARTS that was measured: their names."""
    made = []
    all_rows = rows(run)
    for line, (name, title, label, logarithmic) in CHARTS.items():
        of = [row for row in all_rows if row.line == line]
        if not of:
            continue
        names = _peers(of)
        path = f"{out}-{name}.svg"
        lines = [
            f'set terminal svg size {300 + 190 * len(of)},360 font "sans-serif,12" '
            'background "white"',
            f'set output "{path}"', f'set title "{title}"', f'set ylabel "{label}"',
            'set style data histograms', 'set style histogram clustered gap 1',
            'set style fill solid 0.9', 'set boxwidth 0.9', 'set grid ytics',
            'set key outside', 'set xtics nomirror font ",9"',
            'set bmargin 4',
            'set logscale y' if logarithmic else 'set yrange [0:*]', '$data << EOD']
        for row in of:
            cells = [f"{row.figures[n][0]:g}" if n in row.figures else "?" for n in names]
            # In two lines: beside each other they would not fit.
            label = "\\n".join([*row.case.replace(", ", " ").rsplit(" ", 1), row.place])
            lines.append(f'"{label}" ' + " ".join(cells))
        lines += ["EOD", 'set datafile missing "?"', "plot " + ", ".join(
            f'$data using {i + 2}:xtic(1) title "{n}"' for i, n in enumerate(names))]
        try:
            subprocess.run(["gnuplot"], input="\n".join(lines), text=True, check=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as error:
            run.say(f"no chart {path}: {error}")
            continue
        made.append((name, title, path))
    return made


def _block(run, made):
    about = run.about
    yield BEGIN
    yield (f"`{' '.join(about['command'])}`, {about['time'][:10]}, commit {about['commit']}: "
           f"{about['cpu']}, {about['cores']} cores, kernel {about['kernel']}, DPDK "
           f"{about['dpdk']}, Open vSwitch {about['ovs']}; the cores {_distances(run)}; "
           f"load {about['load']:.1f} at the start; {about['seconds_taken']} s. "
           f"Medians, and in brackets the lowest and the highest; ratios above 1: weir is ahead. "
           f"*Cores* near: closer than {FAR_NS} ns before and after each slice. *Slices*: how many "
           "each median stands on, in the columns' order.")
    for line, unit, head, body in tables(run):
        yield ""
        yield f"**{line[0].upper()}{line[1:]}**, {unit}:"
        yield ""
        yield "| " + " | ".join(head) + " |"
        yield "|" + " --- |" * len(head)
        for cells in body:
            yield "| " + " | ".join(cells) + " |"
    if _sleeping(run):
        yield ""
        yield ("Throughput of a weir that may sleep, to that of one that never does: "
               f"{_sleeping(run):.3f}.")
    behind = [f"{row.line}, {row.case} ({row.place}): {row.ratio(peer):.2f} of {peer}"
              for row in rows(run) for peer in PEERS
              if row.ratio(peer) is not None and row.ratio(peer) < 0.97]
    yield ""
    yield "Behind: " + ("; ".join(behind) if behind else "nowhere, to within 3 %") + "."
    for failure in about["failures"]:
        yield f"Not measured: {failure}."
    for _, title, path in made:
        yield ""
        yield f"![{title}]({os.path.basename(path)})"
    yield END


def write_docs(run, docs):
    """The figures into the page, between its marks, and the charts beside it."""
    page = os.path.join(docs, "performance.md")
    with open(page, encoding="utf-8") as file:
        text = file.read()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"{page}: the lines '{BEGIN}' and '{END}' are needed, once each")
    made = charts(run, os.path.join(docs, "performance"))
    block = "\n".join(_block(run, made))
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    with open(page, "w", encoding="utf-8") as file:
        file.write(before + block + after)
    run.say(f"written: {page}")
