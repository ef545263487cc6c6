"""tasjson.py EXPRESSION: evaluates EXPRESSION over the JSON that tasctl printed, read from standard input.

    d              the whole answer
    rows           its list of rows (flows, listeners, programs, cores, reasons)
    counter(NAME)  the value under NAME, summed over all places where it stands; rows {"name": NAME, "value": n} count too
"""
import json
import sys

d = json.load(sys.stdin)
rows = next((v for v in d.values() if isinstance(v, list)), [])


def counter(name):
    found = []

    def walk(v):
        if isinstance(v, dict):
            if v.get("name") == name:
                found.extend(x for k, x in v.items() if isinstance(x, int) and k in ("value", "count", "total"))
            elif isinstance(v.get(name), int):
                found.append(v[name])
            v = v.values()
        if not isinstance(v, str) and hasattr(v, "__iter__"):
            for x in v:
                walk(x)

    walk(d)
    if not found:
        sys.exit("tasjson: no counter %s" % name)
    return sum(found)


result = eval(sys.argv[1])
if isinstance(result, bool):
    sys.exit(0 if result else 1)
print(result)
