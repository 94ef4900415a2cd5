# SPDX-License-Identifier: MIT
"""Documents that are made from the code: etc/bulkhead.conf and docs/metrics.md.

`docs.py check` compares them with what the code says; `docs.py write` makes them anew.
"""
import os
import re
import subprocess
import sys
import textwrap

BUILD = os.environ.get("BUILD", "build")

HEAD = """\
; bulkhead.conf: every key with its unit and default. Remove the ';' before a key to change it.
; A value may also be given as -o section.key=value, which wins over this file.
; Test a change with: supervisor -t -c FILE      Put it in force with: bulkheadctl reload
; Keys marked (restart) need a restart of the supervisor.
"""
# What is bound to the life of the supervisor (supervisor/reconcile.c, reconcile_reload).
RESTART = {"workers", "listen", "data_dir", "user", "console.listen"}


def rows():
    """(key, unit, default, range or choices, help) of config.def."""
    text = open("common/config.def").read()
    text = re.sub(r'"\s*\n\s*"', "", text)  # adjacent string literals
    for kind, arguments in re.findall(r"^KEY_(NUMBER|TEXT|CHOICE)\((.*?)\)$", text, re.M | re.S):
        a = re.findall(r'"(?:[^"\\]|\\.)*"|[^,\s][^,]*', arguments)
        a = [x.strip().strip('"') for x in a]
        if kind == "NUMBER":
            most = "64" if a[5] == "WORKERS_MAX" else a[5]
            yield a[1], a[2], a[3], f"{a[4]} to {most}", a[6]
        elif kind == "TEXT":
            yield a[1], "text", a[3], "", a[4]
        else:
            yield a[1], "choice", a[2].split("|")[int(a[3])], a[2].replace("|", " | "), a[4]


def listen_row():
    return ("listen", "address", "127.0.0.1:8080", "up to 8 times",
            "Address to serve, ADDRESS:PORT, [::1]:8080 for IPv6; or the sockets systemd passes.")


def conf():
    sections = {}
    for key, unit, default, bounds, text in [listen_row(), *rows()]:
        section, _, name = key.rpartition(".")
        mark = " (restart)" if key in RESTART else ""
        note = f"{text} [{unit}{', ' + bounds if bounds else ''}]{mark}"
        entry = textwrap.fill(note, 96, initial_indent="; ", subsequent_indent="; ")
        sections.setdefault(section, []).append(f"{entry}\n;{name} = {default}\n")
    out = HEAD
    for section in sorted(sections):
        out += f"\n[{section}]\n" if section else "\n"
        out += "\n".join(sections[section])
    return out


def metrics():
    return subprocess.run([f"{BUILD}/bulkheadctl", "metrics", "--describe"], check=True,
                          capture_output=True, text=True).stdout


DOCUMENTS = {"etc/bulkhead.conf": conf, "docs/metrics.md": metrics}


def main(mode):
    failed = False
    for path, make in DOCUMENTS.items():
        want = make()
        have = open(path).read() if os.path.exists(path) else ""
        if mode == "write":
            open(path, "w").write(want)
        elif want != have:
            print(f"check-docs: {path} is not what the code says; run: make docs")
            failed = True
    if mode == "check" and not failed:
        print("check-docs: " + ", ".join(DOCUMENTS) + " are what the code says")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
