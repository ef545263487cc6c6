/*
 * explore.h - exhaustive interleaving of a few processes over shared words, running the real code.
 *
 * A process is a function that touches shared memory only through load(), store(), rmw() and wait()
 * below; each is one atomic step, and between any two steps any other process may run (sequential
 * consistency). What a process does next depends only on what it read before: its state is the list
 * of values it was given, so a step is made by running the function from its start with that list,
 * up to the first operation beyond it. A state of the whole is the shared words and these lists;
 * each is visited once.
 *
 * A process marked mortal may also stop for ever between any two of its steps (killed, or held in a
 * signal handler), or after the last. When no process can move, the check function judges what is
 * left.
 */
#ifndef TEST_MODEL_EXPLORE_H
#define TEST_MODEL_EXPLORE_H

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <vector>

namespace explore
{

struct Frontier {
}; /* thrown when a process has made its step */
struct Again {
}; /* thrown by again() */

struct Process {
	const char *name;
	std::function<void()> run;
	bool mortal;
	std::function<void()> on_death = [] {}; /* what the others can see of it, in memory */
};

struct ProcState {
	uint64_t entry = 0;	    /* what it said with again() */
	std::vector<uint64_t> seen; /* results of its operations since then */
	bool done = false, dead = false;
};

struct World {
	std::vector<uint64_t> words; /* the shared memory */
	std::vector<ProcState> procs;
};

struct Result {
	uint64_t states = 0, ends = 0;
	std::string failure; /* empty: every end passed the check */
	std::vector<std::string> path;
};

/* The memory that process functions address: the words of the world being stepped. */
inline std::vector<uint64_t> memory;

struct Current {
	ProcState *proc = nullptr;
	size_t at = 0;
	bool moved = false;
};
inline Current current;

/* One operation: replays its recorded result, or performs it if this step has not performed one
 * yet. */
template <class F> uint64_t step(F &&perform)
{
	if (current.at == current.proc->seen.size()) {
		if (current.moved)
			throw Frontier();
		current.proc->seen.push_back(perform());
		current.moved = true;
	}
	return current.proc->seen[current.at++];
}

/* The value last given to again(), 0 at first: for the start of a process that loops. */
inline uint64_t entry()
{
	return current.proc->entry;
}

[[noreturn]] inline void again(uint64_t v)
{
	current.proc->entry = v;
	current.proc->seen.clear();
	throw Again();
}

template <class T> T load(const T *p)
{
	return (T)step([&] { return (uint64_t)*p; });
}

template <class T, class V> void store(T *p, V v)
{
	step([&] {
		*p = (T)v;
		return 0;
	});
}

template <class T, class F> T rmw(T *p, F &&f)
{
	return (T)step([&] {
		T old = *p;
		*p = (T)f(old);
		return (uint64_t)old;
	});
}

template <class T> bool cas(T *p, T *expected, std::common_type_t<T> v)
{
	T old = rmw(p, [&](T o) { return o == *expected ? v : o; });
	bool ok = old == *expected;

	*expected = old;
	return ok;
}

/* A step that looks at or changes several words at once. */
template <class F> uint64_t atomically(F &&perform)
{
	return step([&] { return (uint64_t)perform(); });
}

/* Waits until `ready()`, then performs `act` in the same step. */
template <class P, class A> uint64_t wait(P &&ready, A &&act)
{
	return step([&]() -> uint64_t {
		if (!ready())
			throw Frontier();
		return act();
	});
}

class Explorer
{
      public:
	Explorer(size_t words, std::vector<Process> procs)
	    : procs_(std::move(procs)), nwords_(words)
	{
	}

	/* Sets words before the first step. */
	std::function<void()> init = [] {};
	/* Judges an end (memory = its words): empty string = as it should be. */
	std::function<std::string(const World &)> check;
	uint64_t max_states = 20000000;

	Result run()
	{
		World w;

		w.procs.resize(procs_.size());
		memory.assign(nwords_, 0);
		init();
		w.words = memory;
		visit(w);
		return result_;
	}

      private:
	std::vector<Process> procs_;
	size_t nwords_;
	Result result_;
	std::unordered_set<std::string> visited_;
	struct Move {
		size_t proc;
		char what; /* 's'tep, 'd'one, 'k'illed */
		uint64_t result;
	};
	std::vector<Move> path_;

	static uint64_t mix(uint64_t h, uint64_t v)
	{
		h ^= v + 0x9e3779b97f4a7c15ull + (h << 6) + (h >> 2);
		h *= 0xff51afd7ed558ccdull;
		return h ^ (h >> 32);
	}

	static std::string key(const World &w)
	{
		uint64_t a = 1, b = 2;
		auto add = [&](uint64_t v) {
			a = mix(a, v);
			b = mix(b, v + 0x1234567);
		};

		for (size_t i = 0; i < w.words.size(); i++) {
			if (w.words[i] != 0) {
				add(i);
				add(w.words[i]);
			}
		}
		for (auto &p : w.procs) {
			add(p.seen.size() * 4 + p.done * 2 + p.dead);
			add(p.entry);
			for (uint64_t v : p.seen)
				add(v);
		}
		return std::string((const char *)&a, 8) + std::string((const char *)&b, 8);
	}

	/* Makes one step of process i in `w`. False when it is blocked. */
	bool advance(World &w, size_t i)
	{
		ProcState &p = w.procs[i];

		memory.swap(w.words);
		current = {&p, 0, false};
		for (bool over = false; !over;) {
			over = true;
			try {
				procs_[i].run();
				p.done = true;
			} catch (const Frontier &) {
			} catch (const Again &) {
				over = false;
				current.at = 0;
			}
		}
		memory.swap(w.words);
		return current.moved || p.done;
	}

	void fail(const std::string &why)
	{
		result_.failure = why;
		for (auto &m : path_) {
			std::string line = procs_[m.proc].name;

			if (m.what == 'k')
				line += " dies";
			else
				line += " -> " + std::to_string(m.result);
			result_.path.push_back(line + (m.what == 'd' ? ", done" : ""));
		}
	}

	void visit(const World &w)
	{
		bool moved = false;

		if (!visited_.insert(key(w)).second)
			return;
		if (++result_.states > max_states)
			fail("too many states: the model does not end");
		for (size_t i = 0; i < procs_.size() && result_.failure.empty(); i++) {
			if (w.procs[i].dead)
				continue;
			if (!w.procs[i].done)
				moved |= try_step(w, i);
			if (procs_[i].mortal && result_.failure.empty())
				try_death(w, i);
		}
		if (!moved && result_.failure.empty())
			judge(w);
	}

	bool try_step(const World &w, size_t i)
	{
		World next = w;

		if (!advance(next, i))
			return false;
		const auto &seen = next.procs[i].seen;
		path_.push_back(
			{i, next.procs[i].done ? 'd' : 's', seen.empty() ? 0 : seen.back()});
		visit(next);
		path_.pop_back();
		return true;
	}

	void try_death(const World &w, size_t i)
	{
		World next = w;

		next.procs[i].dead = true;
		memory.swap(next.words);
		procs_[i].on_death();
		memory.swap(next.words);
		path_.push_back({i, 'k', 0});
		visit(next);
		path_.pop_back();
	}

	void judge(const World &w)
	{
		std::string why;

		result_.ends++;
		memory = w.words;
		why = check(w);
		if (!why.empty())
			fail(why);
	}
};

static inline std::string describe(const Result &r)
{
	std::string s = r.failure + " after:\n";

	for (auto &line : r.path)
		s += "  " + line + "\n";
	return s;
}

} // namespace explore

#endif
