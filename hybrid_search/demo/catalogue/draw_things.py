"""Drawings of accessories and things for work, music and travel."""

from __future__ import annotations

import math

from hybrid_search.demo.catalogue.canvas import Canvas, Light, mirrored, mixed, moved, oval, path, rounded, shaded, turned
from hybrid_search.demo.catalogue.look import Look

_STEEL = (196, 198, 204)
_GOLD = (214, 176, 104)
_INK = (44, 44, 50)


def watch(canvas: Canvas, look: Look) -> None:
    """A wristwatch, strap up and down: hands and markers, chronograph, or digital."""
    shape = look.shape % 3
    case = _GOLD if look.seed % 3 == 0 else _STEEL if look.seed % 3 == 1 else (74, 74, 80)
    strap = mirrored(path((500, 60), (585, 60, 592, 70, 594, 90), (612, 330), (612, 670), (590, 920), (588, 940, 580, 948, 500, 948)))
    canvas.drop(strap, 14, 20, 3.5, 0.5)
    canvas.fill(strap, look.texture(0.6), Light("cylinder", 0.5, look.gloss))
    for x in (404, 596):
        canvas.stroke([(x + (500 - x) * 0.02, 110), (x - (500 - x) * 0.08, 320)], 3, shaded(look.colour, 1.4))
        canvas.stroke([(x - (500 - x) * 0.08, 680), (x + (500 - x) * 0.02, 890)], 3, shaded(look.colour, 1.4))
    for y in (790, 830, 870):
        canvas.fill(oval(500, y, 9, 7), shaded(look.colour, 0.4))
    metal = Light("flat", 0.45, 0.6)
    if shape == 2:
        canvas.fill(rounded(322, 322, 678, 678, 80), (58, 58, 64), metal)
        canvas.fill(rounded(350, 350, 650, 650, 56), _INK, Light("flat", 0.2, 0.25))
        screen = (186, 202, 178)
        canvas.fill(rounded(380, 410, 620, 590, 14), screen, Light("flat", 0.15))
        for i, digit in enumerate((look.seed % 10, (look.seed * 3) % 6, (look.seed * 7) % 10)):
            _digit(canvas, 395 + i * 78, 440, digit)
        return
    canvas.fill(rounded(664, 478, 706, 522, 8), case, Light("top", 0.5, 0.4))
    canvas.fill(oval(500, 500, 188, 188), case, metal)
    canvas.fill(oval(500, 500, 166, 166), shaded(case, 0.7), Light("flat", 0.3, 0.2))
    face = (250, 249, 246) if look.seed % 2 else mixed(look.accent, (20, 20, 28), 0.35)
    ink = _INK if sum(face) > 400 else (244, 242, 236)
    canvas.fill(oval(500, 500, 158, 158), face, Light("flat", 0.12, 0.12))
    for i in range(12):
        a = i * math.pi / 6
        inner = 122 if i % 3 else 112
        canvas.stroke(
            [(500 + inner * math.sin(a), 500 - inner * math.cos(a)), (500 + 144 * math.sin(a), 500 - 144 * math.cos(a))],
            8 if i % 3 == 0 else 5,
            ink,
        )
    if shape == 1:
        for x, y in ((430, 500), (570, 500), (500, 572)):
            canvas.fill(oval(x, y, 40, 40), shaded(face, 0.86) if sum(face) > 400 else shaded(face, 1.2))
            canvas.stroke([(x, y), (x + 14, y - 24)], 4, ink)
    for angle, length, width in ((304, 84, 12), (58, 124, 8)):
        a = math.radians(angle)
        canvas.stroke(
            [(500 - 16 * math.sin(a), 500 + 16 * math.cos(a)), (500 + length * math.sin(a), 500 - length * math.cos(a))], width, ink
        )
    canvas.stroke([(500, 530), (500, 372)], 3, (206, 66, 56))
    canvas.fill(oval(500, 500, 10, 10), case)


_SEGMENTS = (
    (0, 1, 2, 4, 5, 6),
    (2, 5),
    (0, 2, 3, 4, 6),
    (0, 2, 3, 5, 6),
    (1, 2, 3, 5),
    (0, 1, 3, 5, 6),
    (0, 1, 3, 4, 5, 6),
    (0, 2, 5),
    (0, 1, 2, 3, 4, 5, 6),
    (0, 1, 2, 3, 5, 6),
)


def _digit(canvas: Canvas, x: float, y: float, digit: int) -> None:
    lines = (
        ((6, 0), (46, 0)),
        ((0, 6), (0, 54)),
        ((52, 6), (52, 54)),
        ((6, 60), (46, 60)),
        ((0, 66), (0, 114)),
        ((52, 66), (52, 114)),
        ((6, 120), (46, 120)),
    )
    for segment in _SEGMENTS[digit]:
        canvas.stroke([(x + px, y + py) for px, py in lines[segment]], 12, (40, 48, 40))


def sunglasses(canvas: Canvas, look: Look) -> None:
    """Sunglasses from the front: round, square, aviator or cat-eye."""
    shape = look.shape % 4
    canvas.ground(500, 640, 380, 22, 0.55)
    outlines = (
        oval(318, 500, 142, 138),
        rounded(168, 390, 460, 610, 56),
        path((180, 400), (260, 380, 400, 385, 455, 410), (470, 520, 420, 640, 320, 640), (220, 640, 160, 520, 180, 400)),
        path((140, 370), (240, 390, 380, 395, 455, 425), (455, 540, 400, 615, 310, 612), (220, 606, 170, 500, 140, 370)),
    )
    left = outlines[shape]
    right = [(1000 - x, y) for x, y in left]
    frame = _GOLD if shape == 2 else look.colour
    width = 13 if shape == 2 else 34
    for side in (1, -1):
        temple = [(500 + side * (x - 500), y) for x, y in path((850, 430), (880, 425, 905, 440, 915, 470))]
        canvas.stroke(temple, 26 if shape != 2 else 12, shaded(frame, 0.6))
    tint = mixed(look.accent, (26, 24, 30), 0.55)
    for lens in (left, right):
        canvas.fill(lens, tint, Light("under", 0.55, 0.3))
        xs, ys = [x for x, _ in lens], [y for _, y in lens]
        x0, y0, h = min(xs), min(ys), max(ys) - min(ys)
        canvas.fill(path((x0 + 70, y0 + 34), (x0 + 120, y0 + 34), (x0 + 76, y0 + h * 0.62), (x0 + 46, y0 + h * 0.5)), shaded(tint, 1.32))
    canvas.stroke(path((448, 470), (475, 430, 525, 430, 552, 470)), width * 0.8, frame, Light("top", 0.3, 0.3))
    if shape == 2:
        canvas.stroke(path((440, 410), (475, 400, 525, 400, 560, 410)), 11, frame)
    for lens in (left, right):
        canvas.stroke([*lens, lens[0], lens[1]], width, look.texture(0.6) if shape != 2 else frame, Light("flat", 0.35, 0.35))


def headphones(canvas: Canvas, look: Look) -> None:
    """Over-ear headphones, standing, from the front."""
    shape = look.shape % 3
    canvas.ground(500, 838, 330, 26)
    band = path((232, 560), (210, 60, 790, 60, 768, 560))
    canvas.stroke(band, 44, look.plain(), Light("flat", 0.45, look.gloss + 0.2))
    pad = path((330, 262), (400, 170, 600, 170, 670, 262))
    canvas.stroke([(x, y + 22) for x, y in pad], 34, shaded(look.colour, 0.42), Light("top", 0.3))
    for side in (1, -1):

        def flip(points: list[tuple[float, float]], side: int = side) -> list[tuple[float, float]]:
            return [(500 + side * (x - 500), y) for x, y in points]

        canvas.stroke(flip([(768, 470), (766, 600)]), 20, _STEEL, Light("cylinder", 0.5, 0.5))
        cushion_ = rounded(640, 500, 720, 830, 40)
        canvas.fill(flip(cushion_), shaded(mixed(look.colour, (60, 56, 56), 0.5), 0.62), Light("cylinder", 0.5, 0.15))
        cup = rounded(700, 530, 800, 800, 50) if shape != 1 else oval(745, 665, 72, 150)
        canvas.fill(flip(cup), look.plain(), Light("cylinder", 0.5, look.gloss + 0.3))
        canvas.fill(flip(rounded(778, 590, 806, 740, 14)), look.plain(look.accent), Light("cylinder", 0.4, 0.3))
    if shape == 2:
        canvas.stroke(path((280, 800), (300, 900, 420, 910, 470, 860)), 12, _INK)
        canvas.fill(oval(472, 856, 22, 18), _INK, Light("ball", 0.3, 0.4))


def umbrella(canvas: Canvas, look: Look) -> None:
    """An open umbrella with a curved handle, tilted a little."""
    tilt = (-14, 0, 12)[look.shape % 3]
    canvas.ground(500, 905, 150, 18, 0.35)

    def put(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return turned(points, tilt, (500, 480))

    wood = (134, 88, 54)
    canvas.stroke(put([(500, 120), (500, 820)]), 13, _STEEL if look.seed % 2 else wood, Light("cylinder", 0.4, 0.4))
    canvas.stroke(put(path((500, 740), (500, 830), (500, 910, 590, 910, 590, 840))), 26, wood, Light("cylinder", 0.4, 0.3))
    dome = path((110, 490), (120, 250, 330, 150, 500, 146), (670, 150, 880, 250, 890, 490))
    scallops: list[tuple[float, float]] = []
    edges = (890, 770, 600, 400, 230, 110)
    for start, end in zip(edges, edges[1:], strict=False):
        scallops += path((start, 490), (start * 0.75 + end * 0.25, 445, start * 0.25 + end * 0.75, 445, end, 490))
    canvas.fill(put([*dome, *scallops]), look.texture(1.1), Light("ball", 0.42, look.gloss))
    if look.pattern == "plain" and look.seed % 2:
        canvas.fill(
            put(
                [
                    *path((500, 146), (430, 200, 400, 400, 400, 490)),
                    *path((400, 490), (450, 445, 550, 445, 600, 490)),
                    *path((600, 490), (600, 400, 570, 200, 500, 146)),
                ]
            ),
            look.plain(look.accent),
            Light("flat", 0.3),
        )
    for x in (230, 400, 600, 770):
        bend = (x - 500) * 0.72
        canvas.stroke(put(path((500, 146), (500 + bend, 200, x - (500 - x) * 0.02, 380, x, 490))), 4, shaded(look.colour, 0.66))
    canvas.fill(put(rounded(492, 90, 508, 150, 8)), _STEEL, Light("cylinder", 0.4, 0.5))


def notebook(canvas: Canvas, look: Look) -> None:
    """A notebook, turned a little: elastic band, spiral, or label on the cover."""
    shape = look.shape % 3
    turn = (-8, 6, -4)[shape]

    def put(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return turned(points, turn)

    pages = put(rounded(268, 158, 752, 872, 18))
    canvas.drop(put(rounded(262, 150, 744, 868, 18)), 20, 30, 3.5, 0.55)
    canvas.fill(pages, (240, 234, 220), Light("flat", 0.2))
    for i in range(4):
        canvas.stroke(put([(745 + i * 2, 180), (745 + i * 2, 860)]), 1, (206, 198, 182))
    cover = put(rounded(256, 140, 738, 860, 20))
    canvas.fill(cover, look.texture(), Light("flat", 0.22, 0.1))
    if shape == 1:
        for i in range(17):
            y = 178 + i * 40
            canvas.fill(put(oval(284, y, 9, 9)), (70, 68, 70))
            canvas.stroke(put(path((284, y), (270, y - 22, 236, y - 16, 232, y + 4))), 8, _STEEL, Light("top", 0.3, 0.4))
        return
    canvas.fill(put(rounded(256, 140, 312, 860, 12)), shaded(look.colour, 0.72), Light("cylinder", 0.4, 0.1))
    if shape == 0:
        canvas.stroke(put([(672, 136), (672, 864)]), 20, shaded(look.accent, 0.9), Light("cylinder", 0.4, 0.1))
        canvas.stroke(put([(420, 858), (420, 930)]), 12, look.accent)
    else:
        canvas.fill(put(rounded(390, 270, 660, 420, 10)), (250, 247, 238), Light("flat", 0.08))
        for i, width in enumerate((190, 140)):
            canvas.stroke(put([(430, 325 + i * 42), (430 + width, 325 + i * 42)]), 7, (150, 144, 138))


def guitar(canvas: Canvas, look: Look) -> None:
    """A guitar, upright and turned a little: acoustic, electric, or a small ukulele."""
    shape = look.shape % 3
    turn = 16
    zoom = 1.0 if shape != 2 else 0.92

    def put(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return moved(turned(points, turn), -10, 10, zoom)

    if shape == 1:
        body = path(
            (440, 560),
            (380, 520, 350, 470, 330, 500),
            (310, 560, 370, 640, 350, 700),
            (320, 820, 380, 930, 500, 932),
            (620, 930, 690, 830, 655, 700),
            (635, 640, 690, 590, 670, 530),
            (650, 500, 600, 560, 555, 570),
        )
    else:
        body = mirrored(
            path(
                (500, 468),
                (580, 462, 640, 500, 640, 570),
                (640, 620, 610, 640, 612, 670),
                (625, 710, 700, 740, 690, 830),
                (670, 920, 590, 945, 500, 946),
            )
        )
    canvas.drop(put(body), 16, 24, 3.5, 0.5)
    canvas.fill(put(moved(body, 0, 0, 1.025, (500, 720))), shaded(look.colour, 0.42), Light("flat", 0.3))
    canvas.fill(put(body), look.texture(grain="wood" if look.pattern == "plain" else ""), Light("flat", 0.4, look.gloss + 0.15))
    neck_wood = (96, 62, 42)
    canvas.fill(
        put([(482, 150), (518, 150), (524, 590 if shape != 1 else 640), (476, 590 if shape != 1 else 640)]),
        neck_wood,
        Light("cylinder", 0.35, 0.15),
    )
    for i in range(13):
        fret = 170 + (440 if shape != 1 else 470) * (1 - 0.945**i) / 0.52 * 0.98
        canvas.stroke(put([(481, fret), (519, fret)]), 3, (206, 200, 186))
    head = mirrored(path((500, 30), (535, 30), (545, 60, 540, 120, 522, 152), (500, 156)))
    canvas.fill(put(head), shaded(neck_wood, 0.8), Light("flat", 0.3, 0.2))
    for i in range(3):
        for side in (1, -1):
            canvas.fill(put(oval(500 + side * 54, 58 + i * 34, 12, 9)), _STEEL, Light("ball", 0.4, 0.5))
    if shape == 1:
        canvas.fill(
            put(path((560, 600), (640, 620, 630, 700, 640, 760), (600, 850, 540, 860, 540, 800), (535, 700, 530, 640, 560, 600))),
            (246, 243, 236),
            Light("flat", 0.15, 0.2),
        )
        for y in (690, 770):
            canvas.fill(put(rounded(455, y, 545, y + 36, 10)), _INK, Light("flat", 0.2, 0.3))
        for x, y in ((610, 790), (596, 836)):
            canvas.fill(put(oval(x, y, 17, 17)), look.accent, Light("ball", 0.4, 0.5))
    else:
        canvas.fill(put(oval(500, 640, 72, 72)), shaded(look.accent, 0.8))
        canvas.fill(put(oval(500, 640, 58, 58)), (40, 28, 22), Light("under", 0.3))
    canvas.fill(put(rounded(430, 838, 570, 862, 8)), (62, 42, 32), Light("top", 0.3))
    for i in range(6 if shape != 2 else 4):
        string = 486 + i * (28 / (5 if shape != 2 else 3))
        canvas.stroke(put([(string, 130), (string + (string - 500) * 0.5, 850)]), 2, (224, 222, 214))
