/* connection-bytes.c — SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Values, bytes, and bytes into memory that is there already, from one end of a pipe to the other. */

#include <stdio.h>
#include <stdlib.h>

#include <mp-glib/mp-glib.h>

static gboolean
exchange_values (MpConnection  *a,
                 MpConnection  *b,
                 GError       **error)
{
  g_autoptr(GVariant) values = NULL;
  const char *text, *perhaps;
  int number;

  if (!mp_connection_send (a, g_variant_new ("(isms)", 1, "hello", NULL), -1, NULL, error) ||
      (values = mp_connection_recv (b, -1, NULL, error)) == NULL)
    return FALSE;

  g_variant_get (values, "(i&sm&s)", &number, &text, &perhaps);
  printf ("[%d, '%s', %s]\n", number, text, perhaps != NULL ? perhaps : "None");
  return TRUE;
}

static gboolean
exchange_bytes (MpConnection  *a,
                MpConnection  *b,
                GError       **error)
{
  g_autoptr(GBytes) thanks = g_bytes_new_static ("thank you", 9);
  g_autoptr(GBytes) received = NULL;

  if (!mp_connection_send_bytes (b, thanks, -1, NULL, error) ||
      (received = mp_connection_recv_bytes (a, -1, NULL, error)) == NULL)
    return FALSE;

  printf ("%.*s\n", (int) g_bytes_get_size (received), (const char *) g_bytes_get_data (received, NULL));
  return TRUE;
}

static gboolean
exchange_numbers (MpConnection  *a,
                  MpConnection  *b,
                  GError       **error)
{
  static const int sent[] = { 0, 1, 2, 3, 4 };
  int received[10] = { 0 };
  gsize size;

  if (!mp_connection_send_data (a, (const guint8 *) sent, sizeof sent, -1, NULL, error) ||
      !mp_connection_recv_bytes_into (b, (guint8 *) received, sizeof received, &size, -1, NULL, error))
    return FALSE;

  printf ("%" G_GSIZE_FORMAT " [", size);
  for (gsize i = 0; i < G_N_ELEMENTS (received); i++)
    printf ("%s%d", i > 0 ? ", " : "", received[i]);
  printf ("]\n");
  return TRUE;
}

int
main (void)
{
  g_autoptr(MpConnection) a = NULL;
  g_autoptr(MpConnection) b = NULL;
  g_autoptr(GError) error = NULL;

  mp_init ();

  if (!mp_pipe_new (TRUE, &a, &b, &error) ||
      !exchange_values (a, b, &error) ||
      !exchange_bytes (a, b, &error) ||
      !exchange_numbers (a, b, &error))
    {
      fprintf (stderr, "%s\n", error->message);
      return EXIT_FAILURE;
    }

  return EXIT_SUCCESS;
}
