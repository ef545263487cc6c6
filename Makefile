# A thin front for CMake, Ninja and CTest: what each line does is in docs/testing.md.
#
#   make              release build into build/
#   make demo         show it: nginx over tas on a tap, checked with SHA-256, beside the kernel
#   make test         release and sanitizer builds, all suites (about ten minutes on two cores)
#   make conformance  writes docs/conformance.md anew: what programs get over tas, as the differential suite shows it
#   make test-long    soak, 1,000 kills, all programs, fuzzers, ThreadSanitizer (over an hour; TAS_SOAK, TAS_FUZZ_S: seconds)
#   make format       clang-format in place          make check-format   the same, as a check
#   make tidy         clang-tidy with the checks of .clang-tidy
#   make install      DESTDIR and PREFIX are honoured; builds what it installs
#   make uninstall    with the same DESTDIR; the configuration stays
#   make clean        remove what the build made     make distclean      remove build/

BUILD	:= build
ASAN	:= $(BUILD)/asan
TSAN	:= $(BUILD)/tsan
FUZZ	:= $(BUILD)/fuzz
JOBS	?= $(shell nproc)
PREFIX	?= /usr/local
SETUP	:= tests/lib/setup.sh
CTEST	:= ctest --output-on-failure --no-tests=error -j $(JOBS)
SOURCES	= $(shell git ls-files '*.c' '*.h' '*.cc')

.PHONY: all build product asan tsan fuzz setup servers programs demo test test-long conformance format check-format tidy install uninstall clean distclean

# At once, not after ten minutes of building.
ifneq ($(filter demo test test-long,$(MAKECMDGOALS)),)
ifneq ($(shell id -u),0)
$(error make $(MAKECMDGOALS) needs root: it makes network namespaces and taps)
endif
endif

all: build

setup:
	@$(SETUP) build

servers: setup
	@$(SETUP) servers

programs: servers
	@$(SETUP) go
	@$(SETUP) diagnosis

build: setup
	@cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX) >$(BUILD)/configure.log 2>&1 || { cat $(BUILD)/configure.log; exit 1; }
	@cmake --build $(BUILD) -j $(JOBS)

asan: setup
	@mkdir -p $(ASAN)
	@cmake --preset asan >$(ASAN)/configure.log 2>&1 || { cat $(ASAN)/configure.log; exit 1; }
	@cmake --build $(ASAN) -j $(JOBS)

# What is installed, without the tests.
product: setup
	@cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX) >$(BUILD)/configure.log 2>&1 || { cat $(BUILD)/configure.log; exit 1; }
	@cmake --build $(BUILD) -j $(JOBS) --target product

demo: product servers
	@TAS_BUILD=$(CURDIR)/$(BUILD) bench/demo.sh

# One ctest over both builds, so that there is one summary and it comes last.
test: build asan programs
	@mkdir -p $(BUILD)/suites
	@printf 'subdirs("%s")\n' $(CURDIR)/$(BUILD) $(CURDIR)/$(ASAN) >$(BUILD)/suites/CTestTestfile.cmake
	@cd $(BUILD)/suites && $(CTEST) -LE long

conformance: setup
	@cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX) >$(BUILD)/configure.log 2>&1 || { cat $(BUILD)/configure.log; exit 1; }
	@cmake --build $(BUILD) -j $(JOBS) --target differential
	@tests/preload/conformance.py make $(BUILD)

tsan fuzz: setup
	@$(SETUP) clang
	@mkdir -p $(BUILD)/$@
	@cmake --preset $@ >$(BUILD)/$@/configure.log 2>&1 || { cat $(BUILD)/$@/configure.log; exit 1; }
	@cmake --build $(BUILD)/$@ -j $(JOBS) --target $(if $(filter tsan,$@),suites,fuzzers)

# One ctest over three builds: what takes long, every program, the fuzzers, and what ThreadSanitizer thinks of the suites.
LONG	:= ^(long|e2e|apps|preload|fuzz)/[^/]*$$|^tsan/(unit|packet|model|sim)/

test-long: build tsan fuzz programs
	@mkdir -p $(BUILD)/suites-long
	@printf 'subdirs("%s")\n' $(CURDIR)/$(BUILD) $(CURDIR)/$(TSAN) $(CURDIR)/$(FUZZ) >$(BUILD)/suites-long/CTestTestfile.cmake
	@cd $(BUILD)/suites-long && $(CTEST) -R '$(LONG)'

format:
	@$(SETUP) format
	@clang-format -i $(SOURCES)

check-format:
	@$(SETUP) format
	@clang-format --dry-run -Werror $(SOURCES)

tidy: build
	@$(SETUP) tidy
	@git ls-files 'fastpath/*.c' 'slowpath/*.c' 'libtas/*.c' | xargs -P $(JOBS) -n 4 clang-tidy -p $(BUILD) --quiet --extra-arg=-Wno-ignored-optimization-argument 2>/dev/null

install: product
	@DESTDIR=$(DESTDIR) cmake --install $(BUILD)

# What the last install of this tree wrote, but for the operator's configuration.
INSTALLED = $(BUILD)/install_manifest.txt

uninstall:
	@[ -e $(INSTALLED) ] || { echo "make uninstall: no $(INSTALLED): nothing was installed from here" >&2; exit 1; }
	@grep -v '/etc/tas\.conf$$' $(INSTALLED) | while IFS= read -r file; do rm -fv "$(DESTDIR)$$file"; done
	@sed -n 's|/nginx-tas\.conf$$||p' $(INSTALLED) | while IFS= read -r doc; do \
		[ ! -d "$(DESTDIR)$$doc" ] || rmdir --ignore-fail-on-non-empty "$(DESTDIR)$$doc"; done
	@echo "tas.conf, the group tas and what systemctl has enabled stay."

clean:
	@[ ! -e $(BUILD)/build.ninja ] || cmake --build $(BUILD) --target clean
	@rm -rf $(ASAN) $(TSAN) $(FUZZ) $(BUILD)/suites $(BUILD)/suites-long

distclean:
	@rm -rf $(BUILD)
