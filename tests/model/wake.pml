/* The parked protocol: a producer rings only if somebody sleeps, and no wake-up is ever lost.

   True to sql/functions/wake.sql, nobody_sleeps.sql, park.sql, settled.sql, unpark.sql, forget_sleepers.sql, rescue.sql
   and pgqueue/worker/bell.py, for one queue and without the fallback poll. Jobs dated ahead are left out: they ring in
   the same way. So are queues that share the bit: they only leave it set for longer.

   marked  the bit of the sequence pgqueue.sleepers: set by who parks, cleared by the leader; at first it may be either
   parked  advisory lock, shared by sleeping workers, exclusive by a producer for an instant
   turn    advisory lock of who changes the bit

   Two producers that try parked at once ring for nobody; that is allowed. What is not: that all is still, a job waits
   and a worker lives (the last lines).

   Each of these set to 0 takes one step out of the protocol, and the model must fail:
   WRITE_FIRST  a producer writes before it looks at the bit
   SETTLE       a worker waits for transactions that are older than the one in which it parked
   BIT_FIRST    a worker sets the bit before it takes that transaction's number
   PARK_FIRST   it parks before it takes its turn to set the bit
   TURN         who changes the bit takes turns
   LOOK_AGAIN   a worker looks once more between parking and sleeping
   CLEAR_EARLY  a worker forgets old rings before it looks, not after
   RESCUE_RINGS the rescue of a dead worker rings for its queues, not only for the jobs that it held
*/
#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef TRANSACTIONS
#define TRANSACTIONS 1   /* of each producer, one after the other */
#endif
#ifndef JOBS
#define JOBS 1           /* of each transaction */
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef DEATHS
#define DEATHS 0         /* of all workers together; the dead may come back */
#endif
#ifndef TIDIES
#define TIDIES 1         /* of the leader, who clears the bit if nobody has parked */
#endif
#ifndef WRITE_FIRST
#define WRITE_FIRST 1
#endif
#ifndef SETTLE
#define SETTLE 1
#endif
#ifndef BIT_FIRST
#define BIT_FIRST 1
#endif
#ifndef PARK_FIRST
#define PARK_FIRST 1
#endif
#ifndef TURN
#define TURN 1
#endif
#ifndef LOOK_AGAIN
#define LOOK_AGAIN 1
#endif
#ifndef CLEAR_EARLY
#define CLEAR_EARLY 1
#endif
#ifndef RESCUE_RINGS
#define RESCUE_RINGS 1
#endif

bool marked;              /* the bit */
byte parked_shared; bool parked_exclusive;
bool turn;

/* Of each producer's transaction: whether it has a number, and with it a lock on the table of jobs, until it ends; and
   which workers took a number of their own later, and so wait for its end. */
bool numbered[PRODUCERS];
bool older[PRODUCERS * WORKERS];

byte ready;               /* jobs: committed, and claimed by nobody */
byte living;              /* workers */
byte deaths = DEATHS;
byte unrescued;           /* dead workers that nobody has noticed yet */

bool listens[WORKERS];    /* LISTEN has been committed in the present session */
byte session[WORKERS];    /* number of the session: a ring for an earlier one is heard by nobody */
bool rung[WORKERS];       /* Sleeper.rung */
bool doomed[WORKERS];     /* dies at its next step */

/* sql/functions/wake.sql. A try that never waits; parked is taken and let go in two steps, others may run between. */
inline wake() {
  maybe = marked;
  atomic {
    if
    :: rings || !maybe -> skip
    :: else -> if :: parked_shared > 0 || parked_exclusive -> rings = true :: else -> parked_exclusive = true; trying = true fi
    fi
  };
  atomic { if :: trying -> trying = false; parked_exclusive = false :: else -> skip fi; maybe = false }
}

/* Commit: all jobs become visible in one instant, and the notification is for those who listen at that instant. Only
   then, in any order: the transaction is no longer under way for others, and one listener after the other hears it. */
inline commit(jobs) {
  atomic {
    ready = ready + jobs;
    to = (rings -> 0 : WORKERS);
    do
    :: to < WORKERS -> told[to] = (listens[to] -> session[to] + 1 : 0); to++
    :: else -> break
    od;
    to = (rings -> 0 : WORKERS);
    rings = false
  };
  do
  :: atomic { under_way -> under_way = false; end_transaction() }
  :: atomic {
       to < WORKERS ->
       if
       :: listens[to] && told[to] == session[to] + 1 -> rung[to] = true
       :: else -> skip
       fi;
       told[to] = 0;
       to++
     }
  :: atomic { !under_way && to == WORKERS -> to = 0; break }
  od
}

inline end_transaction() {
  numbered[who] = false;
  later = 0;
  do
  :: later < WORKERS -> older[who * WORKERS + later] = false; later++
  :: else -> break
  od;
  later = 0
}

proctype producer(byte who) {
  bool under_way, rings, trying, maybe;
  byte transaction, job, to, later;
  byte told[WORKERS];
  do
  :: transaction < TRANSACTIONS ->
     do
     :: job < JOBS ->                                       /* pgqueue.enqueue: insert, then wake */
#if !WRITE_FIRST
        wake();
#endif
        atomic { under_way = true; numbered[who] = true };
#if WRITE_FIRST
        wake();
#endif
        job++
     :: else -> break
     od;
     if
     :: commit(JOBS)
     :: rings = false; commit(0)                            /* rolled back: no job, no ring, the locks go */
     fi;
     atomic { transaction++; job = 0 }
  :: else -> break
  od
}

/* sql/functions/forget_sleepers.sql: it lists who has parked, and writes what it saw. */
proctype leader() {
  byte tidied;
  bool asleep;
  do
  :: tidied < TIDIES ->
#if TURN
     atomic { !turn -> turn = true };                       /* a try that fails: another time */
#endif
     asleep = parked_shared > 0;
     atomic { marked = asleep; asleep = false; turn = false; tidied++ }
  :: break
  od
}

/* sql/functions/rescue.sql, for what a worker that died was claiming: the claim is undone, nobody rang for it. */
proctype rescuer() {
  bool under_way, rings, trying, maybe;                     /* under_way: never, it has written no job */
  byte to, who, later;
  byte told[WORKERS];
end_idle:
  do
  :: atomic { unrescued > 0 -> unrescued-- };
#if RESCUE_RINGS
     wake();
     commit(0)
#endif
  od
}

/* A sweep of the queue. While it is under way others skip the job (skip locked). */
inline look() {
  atomic { if :: ready > 0 -> ready--; claiming = true :: else -> skip fi };
  atomic { found = claiming; claiming = false }
}

/* sql/functions/settled.sql */
inline settle() {
#if SETTLE
  atomic {
    settled = true;
    count = 0;
    do
    :: count < PRODUCERS -> settled = settled && !older[count * WORKERS + me]; count++
    :: else -> break
    od;
    count = 0
  }
#else
  settled = true
#endif
}

/* Its number is higher than those that others have now. */
inline take_number() {
  atomic {
    do
    :: count < PRODUCERS -> older[count * WORKERS + me] = numbered[count]; count++
    :: else -> break
    od;
    count = 0
  }
}

inline lock_parked() {
  atomic { !parked_exclusive -> parked_shared++; parked = true }       /* a lock that waits */
}

/* sql/functions/park.sql */
inline park() {
#if PARK_FIRST
  lock_parked();
#endif
#if TURN
  atomic { !turn -> turn = true; my_turn = true };
#endif
#if !BIT_FIRST
  take_number();
#endif
  marked = true;                                              /* of the others' bits, as read: nobody else changes any */
#if BIT_FIRST
  take_number();
#endif
  atomic { settle(); if :: my_turn -> turn = false; my_turn = false :: else -> skip fi };
#if !PARK_FIRST
  lock_parked()
#endif
}

/* pgqueue/worker/bell.py: listen, watch, _stays_dry, _sleep. A job that was claimed is none of the protocol's business. */
proctype worker(byte me) {
  bool found, settled, claiming, parked, my_turn;
  byte count;

comes:
  {
    atomic { living++; listens[me] = true };
awake:
    look();                                                 /* and again after 1, 2 and 4 ms, which changes nothing */
    if :: found -> goto awake :: else -> skip fi;
    park();
    do
    ::
#if CLEAR_EARLY
       rung[me] = false;
#endif
#if LOOK_AGAIN
       look();
       if :: found -> goto wakes :: else -> skip fi;
#endif
       if :: settled -> break :: else -> skip fi;
       settle()                                             /* after a pause */
    od;
#if !CLEAR_EARLY
    rung[me] = false;
#endif
end_asleep:
    rung[me];
wakes:
    atomic { found = false; settled = false };
    if                                                      /* two connections: in whatever order */
    :: look(); atomic { parked_shared--; parked = false; goto awake }
    :: atomic { parked_shared--; parked = false; goto awake }
    fi
  } unless { doomed[me] };

  /* The server ends its sessions: their locks go, a claim under way is undone, and nothing is heard any more. */
  atomic {
    doomed[me] = false;
    if :: parked -> parked_shared-- :: else -> skip fi;
    if :: my_turn -> turn = false :: else -> skip fi;
    if :: claiming -> ready++ :: else -> skip fi;
    parked = false; my_turn = false; claiming = false; found = false; settled = false; count = 0;
    listens[me] = false; rung[me] = false; session[me]++;
    living--; unrescued++
  };
  if
  :: goto comes
  :: skip                                                   /* gone for good */
  fi
}

proctype death() {
  byte who;
  do
  :: atomic {
       deaths > 0 -> deaths--;
       do :: who < WORKERS - 1 -> who++ :: break od;
       if :: listens[who] -> doomed[who] = true :: else -> skip fi;
       who = 0
     }
  :: break
  od
}

init {
  byte number;
  atomic {
    if :: marked = true :: marked = false fi;
    do :: number < WORKERS -> run worker(number); number++ :: else -> break od;
    number = 0;
    do :: number < PRODUCERS -> run producer(number); number++ :: else -> break od;
    if :: TIDIES > 0 -> run leader() :: else -> skip fi;
    if :: DEATHS > 0 -> run rescuer(); run death() :: else -> skip fi
  };
  timeout;                                                  /* all is still */
  assert(ready == 0 || living == 0)
}
