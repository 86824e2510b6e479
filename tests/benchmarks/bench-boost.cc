/* bench-boost.cc — SPDX-License-Identifier: LGPL-2.1-or-later */
#include <boost/interprocess/ipc/message_queue.hpp>

#include <cstdlib>
#include <cstdio>
#include <cstring>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "bench-common.h"

/* Boost.Interprocess's message_queue at the works of bench-queue.c: `bench-boost bytes|variants|large PAIRS`. */

#define N_REPEATS 5

using boost::interprocess::message_queue;

struct Work
{
  std::size_t size;
  std::size_t bound;
  std::size_t n;
};

static const Work small = { 32, 1024, 1000000 };
static const Work large = { 1 << 20, 16, 2000 };

static void
put (message_queue &queue, const Work &work, std::size_t n)
{
  std::vector<char> data (work.size, 'x');

  for (std::size_t i = 0; i < n; i++)
    queue.send (data.data (), data.size (), 0);
}

static void
get (message_queue &queue, const Work &work, std::size_t n)
{
  std::vector<char> data (work.size);

  for (std::size_t i = 0; i < n; i++)
    {
      message_queue::size_type length;
      unsigned priority;

      queue.receive (data.data (), data.size (), length, priority);
      if (length != work.size)
        g_error ("wrong length");
    }
}

int
main (int argc, char **argv)
{
  std::string mode = argc == 3 ? argv[1] : "";
  const Work &work = mode == "large" ? large : small;
  std::string name = "mp-glib-bench-" + std::to_string (getpid ());
  guint n_pairs = argc == 3 ? std::strtoul (argv[2], nullptr, 10) : 0;
  guint32 *n_ready;

  if (n_pairs == 0 || (mode != "bytes" && mode != "variants" && mode != "large"))
    {
      std::fprintf (stderr, "Usage: %s bytes|variants|large PAIRS\n", argv[0]);
      return 2;
    }

  n_ready = static_cast<guint32 *> (mmap (nullptr, sizeof *n_ready, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                                          -1, 0));
  message_queue queue (boost::interprocess::create_only, name.c_str (), work.bound, work.size);
  message_queue::remove (name.c_str ());
  for (guint repeat = 0; repeat <= N_REPEATS; repeat++)
    {
      gint64 start;

      *n_ready = 0;
      for (guint i = 0; i < 2 * n_pairs; i++)
        if (fork () == 0)
          {
            bench_pin ((i / 2 + i) % 2);
            bench_meet (n_ready, 2 * n_pairs + 1);
            if (i % 2 == 0)
              put (queue, work, work.n / n_pairs);
            else
              get (queue, work, work.n / n_pairs);
            _exit (0);
          }
      bench_meet (n_ready, 2 * n_pairs + 1);
      start = bench_now ();
      while (wait (nullptr) > 0)
        ;
      if (repeat > 0)
        bench_rate ("items/s", work.n, bench_now () - start);
    }
  return 0;
}
