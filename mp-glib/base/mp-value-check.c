/* mp-value-check.c — SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "mp-glib/base/mp-codec-private.h"

#include <string.h>

/* Whether bytes are a value in normal form, as g_variant_is_normal_form() says it (GLib 2.74.4 and later, with the
 * checks of offset tables), but without the walk over every number of an array. A type string is first turned into nodes, in
 * the order of its characters, so that an array of containers does not parse its type again for each element. */

#define MAX_DEPTH     ((gsize) 128)     /* G_VARIANT_MAX_RECURSION_DEPTH, which GLib does not export */
#define MAX_TYPE      ((gsize) 65536)   /* of a variant's content: each character costs memory; GVariant has no limit */
#define STACK_NODES   24

enum
{
  NODE_NUMBERS  = 1 << 0,   /* fixed size, and any bytes of that size will do */
  NODE_HANDLES  = 1 << 1,   /* there is an 'h' in it, outside of variants */
  NODE_EMPTY    = 1 << 2,   /* no bytes at all are a normal value */
};

typedef struct
{
  gsize   fixed_size;       /* 0: the size varies */
  guint32 span;             /* nodes of this subtree: the next sibling is that far away */
  guint8  kind;             /* the type character; '(' also for dictionary entries */
  guint8  alignment;        /* as a mask: 0, 1, 3 or 7 */
  guint8  flags;
  guint8  nest;             /* containers below this one that a value of a fixed size always enters */
  guint8  empty_nest;       /* the same for a value without bytes */
  guint8  wraps;            /* nodes from here on that have one member and nothing else: its bytes are theirs */
} Node;

typedef struct
{
  const char *pos;
  const char *limit;
  Node       *nodes;
  guint32     n_nodes;
} Parser;

typedef struct
{
  MpHandleFunc handle_func;
  gpointer     user_data;
} Checker;

static gboolean check_value (const Checker *checker,
                             const Node    *node,
                             guint8        *data,
                             gsize          size,
                             gsize          depth);

static gboolean parse_type  (Parser        *parser,
                             gsize          depth_limit,
                             gsize         *depth);

static gsize
align_up (gsize offset,
          gsize mask)
{
  return (offset + mask) & ~mask;
}

static void
set_base (Node  *node,
          gsize  fixed_size,
          guint8 flags)
{
  node->fixed_size = fixed_size;
  node->alignment = fixed_size > 0 ? fixed_size - 1 : 0;
  node->flags = flags;
}

static gboolean
parse_base (Node *node,
            char  kind)
{
  switch (kind)
    {
    case 'y':
      set_base (node, 1, NODE_NUMBERS);
      return TRUE;
    case 'n': case 'q':
      set_base (node, 2, NODE_NUMBERS);
      return TRUE;
    case 'i': case 'u':
      set_base (node, 4, NODE_NUMBERS);
      return TRUE;
    case 'h':
      set_base (node, 4, NODE_NUMBERS | NODE_HANDLES);
      return TRUE;
    case 'x': case 't': case 'd':
      set_base (node, 8, NODE_NUMBERS);
      return TRUE;
    case 'b':
      set_base (node, 1, 0);
      return TRUE;
    case 's': case 'o': case 'g':
      set_base (node, 0, 0);
      return TRUE;
    case 'v':
      set_base (node, 0, 0);
      node->alignment = 7;
      return TRUE;
    default:
      return FALSE;
    }
}

/* What is left to do for a tuple or dictionary entry once its members are there. */
static void
finish_tuple (Node *node,
              guint32 n_nodes)
{
  const Node *end = node + n_nodes;
  const Node *member;
  gboolean fixed = TRUE, exact = TRUE, numbers = TRUE, empty = TRUE;
  gsize size = 0;

  for (member = node + 1; member < end; member += member->span)
    {
      gsize start = align_up (size, member->alignment);

      exact &= start == size;
      fixed &= member->fixed_size > 0;
      numbers &= (member->flags & NODE_NUMBERS) != 0;
      empty &= (member->flags & NODE_EMPTY) != 0;
      node->flags |= member->flags & NODE_HANDLES;
      node->alignment |= member->alignment;
      node->nest = MAX (node->nest, member->nest + 1);
      node->empty_nest = MAX (node->empty_nest, member->empty_nest + 1);
      size = start + member->fixed_size;
    }

  if (n_nodes == 1)
    {
      node->fixed_size = 1;   /* the unit tuple is one zero byte */
      return;
    }
  if (node[1].span == n_nodes - 1)
    node->wraps = node[1].wraps + 1;

  if (fixed)
    {
      node->fixed_size = align_up (size, node->alignment);
      if (numbers && exact && node->fixed_size == size)
        node->flags |= NODE_NUMBERS;
    }
  else if (empty)
    {
      node->flags |= NODE_EMPTY;
    }
}

/* Members up to the closing bracket. @depth: that of the deepest. */
static gboolean
parse_tuple (Parser *parser,
             gsize   depth_limit,
             gsize  *depth)
{
  gsize member_depth;

  while (parser->pos == parser->limit || *parser->pos != ')')
    {
      if (depth_limit == 0 || !parse_type (parser, depth_limit - 1, &member_depth))
        return FALSE;
      *depth = MAX (*depth, member_depth + 1);
    }

  parser->pos++;
  return TRUE;
}

static gboolean
parse_entry (Parser *parser,
             gsize   depth_limit,
             gsize  *depth)
{
  gsize member_depth;

  if (depth_limit == 0 || parser->pos == parser->limit || *parser->pos == '\0' ||
      strchr ("bynqihuxtdsog", *parser->pos) == NULL ||
      !parse_type (parser, depth_limit - 1, &member_depth) ||
      !parse_type (parser, depth_limit - 1, &member_depth) ||
      parser->pos == parser->limit || *parser->pos != '}')
    return FALSE;

  *depth = MAX (*depth, member_depth + 1);
  parser->pos++;
  return TRUE;
}

/* One complete definite type, as g_variant_type_string_scan() takes it. @depth counts as GLib does: 1 for a base type,
 * 0 for the unit tuple. */
static gboolean
parse_type (Parser *parser,
            gsize   depth_limit,
            gsize  *depth)
{
  Node *node = &parser->nodes[parser->n_nodes];
  guint32 first = parser->n_nodes;
  gsize element_depth;
  gboolean ok;
  char kind;

  *depth = 0;
  if (parser->pos == parser->limit)
    return FALSE;

  kind = *parser->pos++;
  *node = (Node) { .kind = kind, .span = 1 };
  parser->n_nodes++;

  switch (kind)
    {
    case '(':
    case '{':
      ok = kind == '(' ? parse_tuple (parser, depth_limit, depth) : parse_entry (parser, depth_limit, depth);
      node->kind = '(';
      if (ok)
        finish_tuple (node, parser->n_nodes - first);
      break;

    case 'a':
    case 'm':
      ok = depth_limit > 0 && parse_type (parser, depth_limit - 1, &element_depth);
      if (ok)
        {
          node->alignment = node[1].alignment;
          node->flags = NODE_EMPTY | (node[1].flags & NODE_HANDLES);
          *depth = element_depth + 1;
        }
      break;

    default:
      ok = parse_base (node, kind);
      *depth = 1;
    }

  node->span = parser->n_nodes - first;
  return ok;
}

static guint
get_offset_size (gsize size)
{
  if (size > G_MAXUINT32)
    return 8;
  if (size > G_MAXUINT16)
    return 4;
  if (size > G_MAXUINT8)
    return 2;
  return size > 0 ? 1 : 0;
}

static gsize
get_total_size (gsize body,
                gsize n_offsets)
{
  if (body + n_offsets <= G_MAXUINT8)
    return body + n_offsets;
  if (body + 2 * n_offsets <= G_MAXUINT16)
    return body + 2 * n_offsets;
  if (body + 4 * n_offsets <= G_MAXUINT32)
    return body + 4 * n_offsets;
  return body + 8 * n_offsets;
}

static inline gsize
read_offset (const guint8 *data,
             guint         offset_size)
{
  guint16 two;
  guint32 four;
  guint64 eight;

  switch (offset_size)
    {
    case 1:
      return *data;
    case 2:
      memcpy (&two, data, 2);
      return GUINT16_FROM_LE (two);
    case 4:
      memcpy (&four, data, 4);
      return GUINT32_FROM_LE (four);
    case 8:
      memcpy (&eight, data, 8);
      return GUINT64_FROM_LE (eight);
    default:
      return 0;
    }
}

/* Moves @offset over padding; FALSE when that is not zero or not within @end. */
static inline gboolean
skip_padding (const guint8 *data,
              gsize        *offset,
              gsize         end,
              gsize         mask)
{
  while (*offset & mask)
    {
      if (*offset >= end || data[*offset] != 0)
        return FALSE;
      (*offset)++;
    }

  return TRUE;
}

/* UTF-8 without a NUL but the last byte. Most text is ASCII, which goes eight at a time. */
static gboolean
check_string (const guint8 *data,
              gsize         size)
{
  const guint64 ones = G_GUINT64_CONSTANT (0x0101010101010101);
  const guint64 highs = G_GUINT64_CONSTANT (0x8080808080808080);
  gsize length = size - 1;
  gsize i = 0;

  if (data[length] != 0)
    return FALSE;

  for (; i + 8 <= length; i += 8)
    {
      guint64 word;

      memcpy (&word, data + i, 8);
      if ((word & highs) != 0 || ((word - ones) & highs) != 0)
        break;
    }

  while (i < length && data[i] > 0 && data[i] < 0x80)
    i++;

  return i == length || g_utf8_validate_len ((const char *) data + i, length - i, NULL);
}

static gboolean
is_plain (const Checker *checker,
          const Node    *node)
{
  return (node->flags & NODE_NUMBERS) != 0 &&
         ((node->flags & NODE_HANDLES) == 0 || checker->handle_func == NULL);
}

static gboolean
check_fixed_array (const Checker *checker,
                   const Node    *element,
                   guint8        *data,
                   gsize          size,
                   gsize          depth)
{
  guint8 bits = 0;
  gsize i;

  if (size % element->fixed_size != 0 || depth + element->nest >= MAX_DEPTH)
    return FALSE;
  if (is_plain (checker, element))
    return TRUE;

  if (element->kind == 'b')
    {
      for (i = 0; i < size; i++)
        bits |= data[i];
      return bits < 2;
    }

  for (i = 0; i < size; i += element->fixed_size)
    if (!check_value (checker, element, data + i, element->fixed_size, depth))
      return FALSE;

  return TRUE;
}

static gboolean
check_variable_array (const Checker *checker,
                      const Node    *element,
                      guint8        *data,
                      gsize          size,
                      gsize          depth)
{
  guint offset_size = get_offset_size (size);
  gsize data_size = read_offset (data + size - offset_size, offset_size);
  gsize offset = 0;
  gsize i;

  if (data_size >= size || (size - data_size) % offset_size != 0 ||
      get_total_size (data_size, (size - data_size) / offset_size) != size)
    return FALSE;

  for (i = data_size; i < size; i += offset_size)
    {
      gsize end = read_offset (data + i, offset_size);

      if (end < offset || end > data_size ||
          !skip_padding (data, &offset, end, element->alignment) ||
          !check_value (checker, element, data + offset, end - offset, depth))
        return FALSE;
      offset = end;
    }

  return TRUE;
}

static gboolean
check_maybe (const Checker *checker,
             const Node    *element,
             guint8        *data,
             gsize          size,
             gsize          depth)
{
  if (element->fixed_size > 0)
    return size == element->fixed_size && check_value (checker, element, data, size, depth);

  return data[size - 1] == 0 && check_value (checker, element, data, size - 1, depth);
}

static gboolean
check_tuple (const Checker *checker,
             const Node    *node,
             guint8        *data,
             gsize          size,
             gsize          depth)
{
  const Node *end_node = node + node->span;
  guint offset_size = get_offset_size (size);
  gsize table = size;   /* where the table of offsets, which grows downwards, begins */
  gsize offset = 0;
  const Node *member, *next;

  if (node->span == 1)
    return data[0] == 0;

  for (member = node + 1; member < end_node; member = next)
    {
      gsize end;

      next = member + member->span;
      if (!skip_padding (data, &offset, size, member->alignment))
        return FALSE;

      if (member->fixed_size > 0)
        {
          end = offset + member->fixed_size;
        }
      else if (next == end_node)
        {
          end = table;
        }
      else
        {
          if (table < offset_size || table - offset_size < offset)
            return FALSE;
          table -= offset_size;
          end = read_offset (data + table, offset_size);
        }

      if (end < offset || end > table || !check_value (checker, member, data + offset, end - offset, depth))
        return FALSE;
      offset = end;
    }

  if (node->fixed_size > 0 && !skip_padding (data, &offset, size, node->alignment))
    return FALSE;

  return offset == table && get_total_size (offset, (size - table) / offset_size) == size;
}

/* The last type of a whole value: most values that follow each other are of one type, and to parse it takes longer than
 * all the rest. */
static __thread struct
{
  char  type[STACK_NODES];
  gsize n_type;
  Node  nodes[STACK_NODES];
} last;

/* A copy, because who is told of a handle may have another value checked. */
static gboolean
recall_type (const char *type,
             gsize       n_type,
             Node       *nodes)
{
  if (n_type != last.n_type || n_type == 0 || memcmp (type, last.type, n_type) != 0)
    return FALSE;

  memcpy (nodes, last.nodes, last.nodes->span * sizeof *nodes);
  return TRUE;
}

static void
remember_type (const char *type,
               gsize       n_type,
               const Node *nodes)
{
  if (n_type > STACK_NODES)
    return;

  memcpy (last.type, type, n_type);
  last.n_type = n_type;
  memcpy (last.nodes, nodes, nodes->span * sizeof *nodes);
}

/* Parses @type and checks the bytes against it. @variant_depth: nesting of the variant that holds them, or -1. */
static gboolean
check_typed (const Checker *checker,
             const char    *type,
             gsize          n_type,
             guint8        *data,
             gsize          size,
             gssize         variant_depth)
{
  Node stack_nodes[STACK_NODES];
  Node *heap_nodes = NULL;
  Parser parser = { type, type + n_type, stack_nodes, 0 };
  gsize type_depth;
  gboolean ok;

  if (n_type > STACK_NODES)
    {
      heap_nodes = g_try_new (Node, n_type);
      if (heap_nodes == NULL)
        return FALSE;
      parser.nodes = heap_nodes;
    }

  if (variant_depth < 0 && recall_type (type, n_type, parser.nodes))
    {
      ok = TRUE;
    }
  else
    {
      ok = parse_type (&parser, MAX_DEPTH, &type_depth) && parser.pos == parser.limit;
      if (ok && variant_depth < 0)
        remember_type (type, n_type, parser.nodes);
      /* The subtraction wraps for the deepest type there can be, as it does in GLib. */
      if (ok && variant_depth >= 0)
        ok = (gsize) variant_depth < MAX_DEPTH - type_depth;
    }
  if (ok && parser.nodes->fixed_size > 0)
    ok = parser.nodes->fixed_size == size;
  if (ok)
    ok = check_value (checker, parser.nodes, data, size, variant_depth + 1);

  g_free (heap_nodes);
  return ok;
}

/* A variant is its content, a zero byte, and the content's type. */
static gboolean
check_variant (const Checker *checker,
               guint8        *data,
               gsize          size,
               gsize          depth)
{
  gsize n_content = size - 1;
  gsize n_type;

  while (n_content > 0 && data[n_content] != 0)
    n_content--;
  if (data[n_content] != 0)
    return FALSE;

  n_type = size - n_content - 1;
  if (n_type == 0 || n_type > MAX_TYPE)
    return FALSE;

  return check_typed (checker, (const char *) data + n_content + 1, n_type, data, n_content, depth);
}

static gboolean
check_value (const Checker *checker,
             const Node    *node,
             guint8        *data,
             gsize          size,
             gsize          depth)
{
  const Node *element;

  /* At once, or each byte of an array could cost as many steps as there are brackets in its type. */
  depth += size > 0 ? node->wraps : 0;
  node += size > 0 ? node->wraps : 0;
  element = node + 1;

  /* Decided when the type was parsed: an array of many empty tuples of many members costs nothing each. */
  if (size == 0)
    return (node->flags & NODE_EMPTY) != 0 && depth + node->empty_nest < MAX_DEPTH;
  if (depth >= MAX_DEPTH)
    return FALSE;
  if (is_plain (checker, node))
    return depth + node->nest < MAX_DEPTH;

  switch (node->kind)
    {
    case 'b':
      return data[0] < 2;
    case 'h':
      return checker->handle_func ((gint32 *) (gpointer) data, checker->user_data);
    case 's':
      return check_string (data, size);
    case 'o':
      return check_string (data, size) && g_variant_is_object_path ((const char *) data);
    case 'g':
      return check_string (data, size) && g_variant_is_signature ((const char *) data);
    case 'v':
      return check_variant (checker, data, size, depth);
    case '(':
      return check_tuple (checker, node, data, size, depth + 1);
    case 'm':
      return check_maybe (checker, element, data, size, depth + 1);
    case 'a':
      if (element->fixed_size > 0)
        return check_fixed_array (checker, element, data, size, depth + 1);
      return check_variable_array (checker, element, data, size, depth + 1);
    default:
      g_return_val_if_reached (FALSE);
    }
}

gboolean
mp_value_check (const GVariantType *type,
                gconstpointer       data,
                gsize               size,
                MpHandleFunc        handle_func,
                gpointer            user_data)
{
  return mp_value_check_string (g_variant_type_peek_string (type), g_variant_type_get_string_length (type), data, size,
                                handle_func, user_data);
}

gboolean
mp_value_check_string (const char    *type,
                       gsize          n_type,
                       gconstpointer  data,
                       gsize          size,
                       MpHandleFunc   handle_func,
                       gpointer       user_data)
{
  const Checker checker = { handle_func, user_data };

  return check_typed (&checker, type, n_type, (guint8 *) data, size, -1);
}

gboolean
mp_type_may_hold_handles (const GVariantType *type)
{
  const char *string = g_variant_type_peek_string (type);
  gsize length = g_variant_type_get_string_length (type);

  return memchr (string, 'h', length) != NULL || memchr (string, 'v', length) != NULL;
}
