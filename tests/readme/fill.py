#!/usr/bin/env python3
"""Makes programs of what README.md shows: fill.py README TEMPLATE prints TEMPLATE with the code blocks in their places.

A template is named after a chapter and a language; a line @README@ in it stands for the code block of that chapter in
that language. Of a second one the name is "chapter-2". In full:

    @README NAME | from TEXT | until TEXT | with OLD -> NEW@

is another block in the same language, from the line that begins with the first text to the one before that which begins
with the second, and with one text replaced, as a port has to be; each part may be left out. A line of a block that is
only "…" or "..." becomes a call of rest().

fill.py README --all TEMPLATE... looks, as a TAP test, whether each line of each block is in one of the templates.
"""
import re
import sys
from pathlib import Path

EXTENSIONS = {'c': '.c', 'python': '.py', 'js': '.js', 'vala': '.vala'}
REST = {'.c': 'rest ();', '.py': 'rest()', '.js': 'rest();', '.vala': 'rest ();'}
PLACE = re.compile(r'( *)@README(?: ([a-z0-9-]+))?(?: \| from (.+?))?(?: \| until (.+?))?(?: \| with (.+?) -> (.+))?@')
DOTS = re.compile(r'( *)(?:…|\.\.\.)(?: +#.*)?')


def blocks_of(readme):
    """{name of the block: its lines}, the name being that of the template."""
    blocks = {}
    chapter = lines = None
    for line in readme.read_text(encoding='utf-8').splitlines():
        if lines is not None:
            if line == '```':
                lines = None
            else:
                lines.append(line)
        elif line.startswith('```'):
            extension = EXTENSIONS[line[3:]]
            number = 1
            while block_name(chapter, number, extension) in blocks:
                number += 1
            lines = blocks[block_name(chapter, number, extension)] = []
        elif line.startswith('#'):
            chapter = re.sub(r'[^a-z0-9]+', '-', line.lower()).strip('-')
    return blocks


def block_name(chapter, number, extension):
    return f'{chapter}{"" if number == 1 else f"-{number}"}{extension}'


def find(lines, text, start, name):
    for i in range(start, len(lines)):
        if lines[i].startswith(text):
            return i
    raise SystemExit(f'README.md has no line “{text}…” in {name}')


def fill(blocks, template):
    """The lines of the program, and which lines of which block are in it: (name, number)."""
    program = []
    used = set()
    for line in template.read_text(encoding='utf-8').splitlines():
        place = PLACE.fullmatch(line)
        if place is None:
            program.append(line)
            continue
        indent, other, first, end, old, new = place.groups()
        name = other + template.suffix if other else template.name
        if name not in blocks:
            raise SystemExit(f'README.md has no code block for {name}')
        lines = blocks[name]
        start = find(lines, first, 0, name) if first else 0
        stop = find(lines, end, start, name) if end else len(lines)
        if old and not any(old in line for line in lines[start:stop]):
            raise SystemExit(f'README.md has no “{old}” in {name}')
        for i in range(start, stop):
            text = DOTS.sub(r'\1' + REST[template.suffix], lines[i]) if DOTS.fullmatch(lines[i]) else lines[i]
            program.append((indent + text.replace(old, new) if old else indent + text).rstrip())
            used.add((name, i))
    return program, used


def main():
    blocks = blocks_of(Path(sys.argv[1]))
    if sys.argv[2] != '--all':
        sys.stdout.reconfigure(encoding='utf-8')
        print('\n'.join(fill(blocks, Path(sys.argv[2]))[0]))
        return
    used = set()
    for template in sys.argv[3:]:
        used |= fill(blocks, Path(template))[1]
    print(f'1..{len(blocks)}')
    for name, lines in blocks.items():
        left = [lines[i] for i in range(len(lines)) if lines[i].strip() and (name, i) not in used]
        print(f'{"not ok" if left else "ok"} - {name}')
        for line in left:
            print('# in no template:', line)


if __name__ == '__main__':
    main()
