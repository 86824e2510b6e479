#include <mp-glib/mp-glib.h>

/* What stands for a bar, and for a button. */
#define TYPE_WIDGET (widget_get_type ())
G_DECLARE_FINAL_TYPE (Widget, widget, TEST, WIDGET, GObject)

struct _Widget
{
  GObject parent_instance;
  double fraction;
};

G_DEFINE_FINAL_TYPE (Widget, widget, G_TYPE_OBJECT)

static void
widget_set_property (GObject      *object,
                     guint         prop_id,
                     const GValue *value,
                     GParamSpec   *pspec)
{
  TEST_WIDGET (object)->fraction = g_value_get_double (value);
}

static void
widget_class_init (WidgetClass *klass)
{
  G_OBJECT_CLASS (klass)->set_property = widget_set_property;
  g_object_class_install_property (G_OBJECT_CLASS (klass), 1,
                                   g_param_spec_double ("fraction", NULL, NULL, 0, 1, 0,
                                                        G_PARAM_WRITABLE | G_PARAM_STATIC_STRINGS));
  g_signal_new ("clicked", TYPE_WIDGET, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
widget_init (Widget *self)
{
}

static GVariant *
make_thumbnail (GVariant  *item,
                gpointer   user_data,
                GError   **error)
{
  return g_variant_ref (item);
}

static void
thumbnails_ready_cb (GObject      *object,
                     GAsyncResult *result,
                     gpointer      user_data)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(GVariant) thumbnails = mp_pool_map_finish (MP_POOL (object), result, &error);
  gboolean *done = user_data;

  g_assert_no_error (error);
  g_assert_cmpuint (g_variant_n_children (thumbnails), ==, 2);
  *done = TRUE;
}

int
main (void)
{
  g_autoptr(Widget) progress_bar = NULL;
  g_autoptr(Widget) cancel_button = NULL;
  GVariant *paths = NULL;
  gboolean done = FALSE;
  gpointer window = &done;

  mp_init ();
  progress_bar = g_object_new (TYPE_WIDGET, NULL);
  cancel_button = g_object_new (TYPE_WIDGET, NULL);
  paths = g_variant_new_parsed ("['a', 'b']");

  @README@

  while (!done || progress_bar->fraction < 1)
    g_main_context_iteration (NULL, TRUE);
  g_signal_emit_by_name (cancel_button, "clicked");
  g_assert_true (g_cancellable_is_cancelled (cancellable));
  g_object_unref (cancellable);
  g_object_unref (pool);
  return 0;
}
