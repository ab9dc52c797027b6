/* The parked protocol: a producer rings only if somebody sleeps, and no wake-up is ever lost.

   True to sql/functions/wake.sql, park.sql, settled.sql, unpark.sql, rescue.sql and pgqueue/worker/bell.py, for one
   queue and without the fallback poll. Jobs dated ahead are left out: they ring in the same way.

   gate    advisory lock, shared by producers until their transaction ends, exclusive by a worker for an instant
   parked  advisory lock, shared by sleeping workers, exclusive by a producer for an instant

   Two producers that try parked at once ring for nobody; that is allowed. What is not: that all is still, a job waits
   and a worker lives (the last lines).

   Each of these set to 0 takes one step out of the protocol, and the model must fail:
   GATE         producers and workers meet at the gate
   LOOK_AGAIN   a worker looks once more between parking and sleeping
   CLEAR_EARLY  a worker forgets old rings before it parks, not after it looked
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
#ifndef GATE
#define GATE 1
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

byte gate_shared;  bool gate_exclusive;
byte parked_shared; bool parked_exclusive;

byte ready;               /* jobs: committed, and claimed by nobody */
byte living;              /* workers */
byte deaths = DEATHS;
byte unrescued;           /* dead workers that nobody has noticed yet */

bool listens[WORKERS];    /* LISTEN has been committed in the present session */
byte session[WORKERS];    /* number of the session: a ring for an earlier one is heard by nobody */
bool rung[WORKERS];       /* Sleeper.rung */
bool doomed[WORKERS];     /* dies at its next step */

/* sql/functions/wake.sql. Tries that never wait; parked is taken and let go in two steps, others may run between. */
inline wake() {
#if GATE
  atomic {
    if
    :: in_gate || rings -> skip                             /* its own shared lock: always granted again */
    :: else -> if :: gate_exclusive -> rings = true :: else -> gate_shared++; in_gate = true fi
    fi
  };
#endif
  atomic {
    if
    :: rings -> skip
    :: else -> if :: parked_shared > 0 || parked_exclusive -> rings = true :: else -> parked_exclusive = true; trying = true fi
    fi
  };
  atomic { if :: trying -> trying = false; parked_exclusive = false :: else -> skip fi }
}

/* Commit: all jobs become visible in one instant, and the notification is for those who listen at that instant. Only
   then, in any order: the locks go, and one listener after the other hears it. */
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
  :: atomic { in_gate -> in_gate = false; gate_shared-- }
  :: atomic {
       to < WORKERS ->
       if
       :: listens[to] && told[to] == session[to] + 1 -> rung[to] = true
       :: else -> skip
       fi;
       told[to] = 0;
       to++
     }
  :: atomic { !in_gate && to == WORKERS -> to = 0; break }
  od
}

proctype producer() {
  bool in_gate, rings, trying;
  byte transaction, job, to;
  byte told[WORKERS];
  do
  :: transaction < TRANSACTIONS ->
     do
     :: job < JOBS -> wake(); job++                         /* pgqueue.enqueue: insert, then wake */
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

/* sql/functions/rescue.sql, for what a worker that died was claiming: the claim is undone, nobody rang for it. */
proctype rescuer() {
  bool in_gate, rings, trying;
  byte to;
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

inline settle() {
#if GATE
  atomic { if :: gate_shared == 0 && !gate_exclusive -> gate_exclusive = true; at_gate = true :: else -> skip fi };
  atomic { settled = at_gate; if :: at_gate -> gate_exclusive = false; at_gate = false :: else -> skip fi }
#else
  settled = true
#endif
}

/* pgqueue/worker/bell.py: listen, watch, _stays_dry, _sleep. A job that was claimed is none of the protocol's business. */
proctype worker(byte me) {
  bool found, settled, claiming, parked, at_gate;

comes:
  {
    atomic { living++; listens[me] = true };
awake:
    look();                                                 /* and again after 1, 2 and 4 ms, which changes nothing */
    if :: found -> goto awake :: else -> skip fi;
#if CLEAR_EARLY
    rung[me] = false;
#endif
    atomic { !parked_exclusive -> parked_shared++; parked = true };     /* a lock that waits */
    settle();
    do
    ::
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
    if :: at_gate -> gate_exclusive = false :: else -> skip fi;
    if :: claiming -> ready++ :: else -> skip fi;
    parked = false; at_gate = false; claiming = false; found = false; settled = false;
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
    do :: number < WORKERS -> run worker(number); number++ :: else -> break od;
    number = 0;
    do :: number < PRODUCERS -> run producer(); number++ :: else -> break od;
    if :: DEATHS > 0 -> run rescuer(); run death() :: else -> skip fi
  };
  timeout;                                                  /* all is still */
  assert(ready == 0 || living == 0)
}
