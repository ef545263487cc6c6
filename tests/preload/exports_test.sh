#!/bin/bash
# What libtas.so exports is what intercept.def lists, and it needs nothing but libc.
set -euo pipefail
lib=$TAS_BUILD/lib/libtas.so
names() {
	sed -n -E 's/^LT_(DATA|RIGHTS|FD|ANY|VA)\([^,]*, *([A-Za-z0-9_]+).*/\2/p; s/^LT_(VOID|ALIAS|LIST|STREAM)\(([A-Za-z0-9_]+).*/\2/p' \
		"$TAS_SRC/libtas/intercept.def" | sort
}
exported() { nm -D --defined-only "$lib" | awk '{ print $3 }' | sort; }
diff <(names) <(exported) || { echo "exports_test: FAILED: intercept.def (<) and $lib (>) differ" >&2; exit 1; }
[ "$(names | wc -l)" -gt 60 ] || { echo "exports_test: FAILED: the list was not understood" >&2; exit 1; }
needed=$(readelf -d "$lib" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
[ "$needed" = libc.so.6 ] || { echo "exports_test: FAILED: needs $needed" >&2; exit 1; }
! nm -D --undefined-only "$lib" | grep -wE 'malloc|calloc|realloc|free' || { echo "exports_test: FAILED: uses malloc" >&2; exit 1; }
echo "exports_test: ok: $(names | wc -l) names"
