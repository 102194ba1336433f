/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wake of lib/wake: can a signal be lost?
 *
 * Producers publish work and signal; consumers look, arm, look again, sleep,
 * disarm and drain; one process may close. Each consumer wants work of its own
 * kind (frames, or room for frames) and all sleep on one wake. Every
 * interleaving is tried, on a machine that, as x86 does, lets a store wait in
 * its core's buffer while later loads go ahead: `work` is published through that
 * buffer, and is seen by others once it leaves it. Locked instructions and
 * fences empty the buffer of the core they run on, membarrier() those of all.
 *
 * Claim: no execution ends, or stays for ever, with work published, or the wake
 * closed, and its consumer asleep (spin's "invalid end state"), and the
 * descriptor is never left readable with nobody to drain it, for then no
 * consumer would sleep again (assertion); once closed it is readable for ever
 * (assertion at the end).
 *
 * -DPRODUCERS=n -DCONSUMERS=n -DITEMS=n   items: of each producer for each consumer
 * -DCLOSE        a closer takes part, and consumers stay until closed
 * -DTIMEOUTS=n   so many sleeps of each consumer may also end by themselves
 * -DFENCED       WEIR_WAKE_FENCED
 *
 * Each of these leaves one piece out, and must make the check fail:
 * -DNO_ORDER     neither membarrier() nor fence
 * -DNO_LOOK      the consumer does not look again once armed
 * -DCLEAR_FIRST  drain clears SIGNALLED before it reads
 * -DCLEAR_EMPTY  drain clears SIGNALLED though it read nothing
 * -DNO_REWRITE   drain does not put back what it took from a close
 * -DNO_RESTORE   drain does not mind who armed since it began
 */
#ifndef PRODUCERS
#define PRODUCERS 1
#endif
#ifndef CONSUMERS
#define CONSUMERS 1
#endif
#ifndef ITEMS
#define ITEMS 2
#endif

#define BUFFERED (PRODUCERS * CONSUMERS)

byte work[CONSUMERS];		/* published, and seen by all, of each kind */
byte buffered[BUFFERED];	/* published, still in the producer's store buffer */
byte sleepers;			/* state */
bool signalled;
bool closed;
byte fd;			/* the eventfd's counter; readable when not 0 */

/* In the order of the stores, kind 0 first: a producer publishes one at a time. */
#if CONSUMERS == 1
#define EMPTY_BUFFER(p) \
	work[0] = work[0] + buffered[p]; buffered[p] = 0
#define FULL_BUFFER(p) (buffered[p] > 0)
#else
#define EMPTY_BUFFER(p) \
	work[0] = work[0] + buffered[2 * (p)]; buffered[2 * (p)] = 0; \
	work[1] = work[1] + buffered[2 * (p) + 1]; buffered[2 * (p) + 1] = 0
#define FULL_BUFFER(p) (buffered[2 * (p)] + buffered[2 * (p) + 1] > 0)
#endif

/* The store buffer drains when it likes. */
active [PRODUCERS] proctype memory()
{
end:
	do
	:: atomic { FULL_BUFFER(_pid) -> EMPTY_BUFFER(_pid) }
	od
}

inline signal(p)
{
	bool nobody;

	nobody = (sleepers == 0);
#ifdef FENCED
#ifndef NO_ORDER
	atomic { EMPTY_BUFFER(p) };
#endif
	nobody = (sleepers == 0);
#endif
	if
	:: nobody
	:: else ->
		/* The compare and exchange: a locked instruction. */
		bool mine;

		atomic {
			EMPTY_BUFFER(p);
			mine = (sleepers > 0 && !signalled && !closed);
			signalled = signalled || mine
		};
		if
		:: mine -> fd++
		:: else
		fi;
		mine = false
	fi;
	nobody = false
}

proctype producer(byte me)
{
	byte i;

	do
	:: i < ITEMS * CONSUMERS ->
		buffered[me * CONSUMERS + i % CONSUMERS]++;
		signal(me);
		i++
	:: else -> break
	od
}

inline arm()
{
	sleepers++;
#if !defined(FENCED) && !defined(NO_ORDER)
	/* membarrier(): every core's buffer, at some moment of the call. */
	byte core;

	for (core : 0 .. PRODUCERS - 1) {
		atomic { EMPTY_BUFFER(core) }
	};
	core = 0
#endif
}

inline drain()
{
	byte count;

#ifdef CLEAR_FIRST
	signalled = false;
	fd = 0
#else
	atomic { count = fd; fd = 0 };
	if
#ifndef CLEAR_EMPTY
	:: count == 0
#endif
	:: else ->
		bool restore;

		/* The compare and exchange. */
		atomic {
			restore = false;
#ifndef NO_REWRITE
			restore = restore || closed;
#endif
#ifndef NO_RESTORE
			restore = restore || (sleepers > 0);
#endif
			signalled = signalled && restore
		};
		if
		:: restore -> fd++
		:: else
		fi;
		restore = false
	fi;
	count = 0
#endif
}

inline disarm()
{
	bool last;

	atomic {
		sleepers--;
		last = signalled && !closed && sleepers == 0
	};
	if
	:: last -> drain()
	:: else
	fi;
	last = false
}

#ifdef CLOSE
#define LEAVE (closed)
#else
#define LEAVE (taken == PRODUCERS * ITEMS)
#endif

proctype consumer(byte me)
{
	byte taken;
#ifdef TIMEOUTS
	byte timeouts = TIMEOUTS;
#endif

	do
	:: LEAVE -> break
	:: work[me] > 0 -> atomic { work[me]--; taken++ }
	:: else ->
		arm();
		if
#ifndef NO_LOOK
		:: work[me] > 0 || LEAVE
#endif
		:: else ->
			/* poll() */
			if
			:: fd > 0
#ifdef TIMEOUTS
			:: timeouts > 0 -> timeouts--
#endif
			fi
		fi;
		disarm();
		/* Readable without SIGNALLED would be readable for ever. */
		assert(fd == 0 || signalled || closed)
	od
}

#ifdef CLOSE
proctype closer()
{
	closed = true;
	fd++
}
#endif

init {
	byte i;

	atomic {
		for (i : 0 .. PRODUCERS - 1) { run producer(i) };
		for (i : 0 .. CONSUMERS - 1) { run consumer(i) };
#ifdef CLOSE
		run closer();
#endif
	};
	/* When all have come to rest. */
	timeout -> assert(!closed || fd > 0)
}
