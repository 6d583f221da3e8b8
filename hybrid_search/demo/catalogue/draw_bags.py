"""Drawings of bags and suitcases."""

from __future__ import annotations

from hybrid_search.demo.catalogue.canvas import Canvas, Light, mirrored, moved, oval, path, rounded, shaded
from hybrid_search.demo.catalogue.look import Look

_STEEL = (196, 198, 204)
_GOLD = (214, 176, 104)
_INK = (44, 44, 50)


def backpack(canvas: Canvas, look: Look) -> None:
    """A backpack from the front: zipped daypack, roll-top, or flap with buckles."""
    shape = look.shape % 3
    canvas.ground(505, 866, 270, 34)
    for side in (1, -1):
        strap = [(500 + side * (x - 500), y) for x, y in path((600, 250), (760, 300, 800, 600, 720, 800))]
        canvas.stroke(strap, 46, shaded(look.colour, 0.5), Light("cylinder", 0.4))
    canvas.stroke(path((430, 190), (430, 110, 570, 110, 570, 190)), 26, shaded(look.colour, 0.55), Light("cylinder", 0.3, 0.1))
    body = mirrored(path((500, 165), (630, 165, 720, 210, 730, 340), (745, 600), (750, 760, 745, 845, 690, 858), (500, 866)))
    canvas.fill(body, look.texture(0.9), Light("pillow", 0.46, 0.14))
    trim = look.accent
    if shape == 1:
        canvas.fill(
            mirrored(path((500, 150), (700, 150), (722, 170, 722, 240, 716, 262), (500, 270))),
            look.plain(shaded(look.colour, 0.85)),
            Light("cylinder", 0.42, 0.1),
        )
        canvas.stroke([(500, 150), (500, 420)], 30, trim, Light("cylinder", 0.3))
        canvas.fill(rounded(470, 380, 530, 440, 8), _STEEL, Light("flat", 0.4, 0.6))
    elif shape == 2:
        canvas.fill(
            mirrored(path((500, 160), (640, 160, 722, 200, 730, 330), (730, 440, 690, 500, 500, 505))),
            look.plain(shaded(look.colour, 1.08)),
            Light("pillow", 0.4, 0.12),
        )
        for x in (405, 595):
            canvas.stroke([(x, 330), (x, 640)], 32, trim, Light("cylinder", 0.35, 0.1))
            canvas.fill(rounded(x - 27, 540, x + 27, 590, 8), _GOLD, Light("flat", 0.4, 0.6))
            canvas.fill(rounded(x - 14, 552, x + 14, 578, 4), shaded(trim, 0.6))
    else:
        canvas.stroke(path((290, 420), (300, 230, 400, 215, 500, 215), (600, 215, 700, 230, 710, 420)), 10, shaded(look.colour, 0.42))
        canvas.stroke([(640, 236), (668, 300)], 12, trim)
    pocket = mirrored(
        path(
            (500, 545 if shape != 2 else 600),
            (650, 545 if shape != 2 else 600),
            (690, 560 if shape != 2 else 612, 692, 600, 692, 640),
            (690, 790, 680, 812, 640, 816),
            (500, 820),
        )
    )
    if shape != 2:
        canvas.fill(moved(pocket, 0, 8), shaded(look.colour, 0.55))
        canvas.fill(pocket, look.texture(0.9), Light("pillow", 0.36, 0.14))
        canvas.stroke(path((330, 590), (400, 584, 600, 584, 670, 590)), 9, shaded(look.colour, 0.4))
        canvas.stroke([(640, 590), (652, 640)], 11, trim)
    canvas.fill(rounded(455, 690, 545, 736, 6), trim, Light("flat", 0.25))


def handbag(canvas: Canvas, look: Look) -> None:
    """A handbag: tote, bucket with flap, or bowling shape, with handles."""
    shape = look.shape % 3
    canvas.ground(500, 838, 330, 34)
    handle = path((360, 420), (370, 110, 630, 110, 640, 420))
    canvas.stroke([(x + 16, y - 14) for x, y in handle], 22, shaded(look.colour, 0.5))
    if shape == 0:
        body = mirrored(path((500, 400), (760, 400), (745, 600, 735, 760, 715, 836), (500, 844)))
    elif shape == 1:
        body = mirrored(path((500, 390), (680, 390), (740, 520, 760, 700, 730, 810), (690, 846, 600, 846, 500, 846)))
    else:
        body = mirrored(path((500, 410), (640, 410, 740, 440, 780, 640), (800, 780, 770, 838, 700, 840), (500, 844)))
    canvas.fill(body, look.texture(), Light("pillow", 0.42, look.gloss))
    dark = shaded(look.colour, 0.62)
    if shape == 1:
        canvas.fill(
            mirrored(path((500, 386), (684, 386), (720, 470, 690, 600, 500, 620))),
            look.plain(shaded(look.colour, 1.06)),
            Light("pillow", 0.36, look.gloss),
        )
        canvas.fill(rounded(468, 585, 532, 645, 10), _GOLD, Light("flat", 0.4, 0.7))
    elif shape == 2:
        canvas.stroke(path((292, 480), (400, 440, 600, 440, 708, 480)), 8, dark)
        canvas.fill(oval(694, 478, 16, 16), _GOLD, Light("ball", 0.4, 0.7))
    else:
        canvas.stroke([(250, 432), (750, 432)], 4, dark)
        canvas.fill(rounded(430, 560, 570, 620, 8), look.plain(look.accent), Light("flat", 0.25, 0.2))
    canvas.stroke(handle, 24, look.plain(look.accent if look.pattern != "plain" else dark), Light("cylinder", 0.4, 0.2))
    for x in (360, 640):
        canvas.fill(oval(x, 430, 22, 22), _GOLD, Light("ball", 0.4, 0.7))


def suitcase(canvas: Canvas, look: Look) -> None:
    """A suitcase on wheels, or an old-fashioned one with a handle on top."""
    shape = look.shape % 3
    if shape == 2:
        canvas.ground(500, 800, 370, 32)
        canvas.stroke(path((410, 330), (410, 240, 590, 240, 590, 330)), 30, look.plain(look.accent), Light("top", 0.4, 0.2))
        canvas.fill(rounded(150, 320, 850, 796, 40), look.texture(), Light("pillow", 0.4, 0.15))
        for x in (270, 690):
            canvas.fill(rounded(x, 320, x + 44, 796, 4), look.plain(look.accent), Light("flat", 0.3, 0.15))
            canvas.fill(rounded(x - 6, 440, x + 50, 490, 8), _GOLD, Light("flat", 0.4, 0.6))
        canvas.stroke([(152, 560), (848, 560)], 5, shaded(look.colour, 0.55))
        return
    wide = (200, 170)[shape]
    canvas.ground(505, 884, wide + 60, 26)
    for x in (430, 570):
        canvas.stroke([(x, 100), (x, 260)], 13, _STEEL, Light("cylinder", 0.4, 0.5))
    canvas.stroke([(424, 98), (576, 98)], 32, _INK, Light("top", 0.3, 0.3))
    for x in (500 - wide + 40, 500 + wide - 40):
        canvas.fill(oval(x, 868, 26, 26), _INK, Light("ball", 0.3, 0.3))
    body = rounded(500 - wide, 240, 500 + wide, 852, 62)
    canvas.fill(body, look.texture(1.1), Light("cylinder", 0.45, look.gloss + 0.2))
    if look.pattern == "plain":
        for i in range(-4, 5):
            rib = 500 + i * wide * 0.21
            canvas.stroke([(rib, 290), (rib, 800)], 9, shaded(look.colour, 0.8))
            canvas.stroke([(rib - 5, 290), (rib - 5, 800)], 3, shaded(look.colour, 1.2))
    canvas.fill(rounded(440, 225, 560, 262, 14), shaded(look.colour, 0.5), Light("top", 0.3, 0.3))
    canvas.fill(rounded(455, 330, 545, 372, 8), look.accent, Light("flat", 0.3, 0.4))
