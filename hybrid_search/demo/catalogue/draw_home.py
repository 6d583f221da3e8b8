"""Drawings of things for the table and the home."""

from __future__ import annotations

import math
import random

from hybrid_search.demo.catalogue.canvas import Canvas, Light, mirrored, mixed, moved, oval, path, rounded, shaded
from hybrid_search.demo.catalogue.look import Look
from hybrid_search.demo.catalogue.textures import patterned

_WOOD = (186, 138, 92)
_DARK_WOOD = (112, 76, 52)
_METAL = (186, 188, 192)
_BRASS = (205, 164, 92)


def mug(canvas: Canvas, look: Look) -> None:
    """A mug with its handle to the right: straight, tapered, round or tall."""
    top, bottom, wide, foot, belly = ((300, 730, 205, 190, 0), (320, 720, 225, 165, 0), (330, 720, 190, 140, 60), (240, 760, 175, 168, 0))[
        look.shape % 4
    ]
    x, ry = 450, wide * 0.2
    canvas.ground(x + 40, bottom + 22, wide + 70, 42)
    middle = (top + bottom) / 2
    handle = path((x + wide - 18, top + 85), (x + wide + 190, top + 40, x + wide + 175, bottom - 40, x + foot - 12, bottom - 95))
    canvas.stroke([(px + 5, py + 9) for px, py in handle], 50, shaded(look.colour, 0.55))
    canvas.stroke(handle, 50, look.plain(), Light("cylinder", 0.4, look.gloss))
    canvas.stroke([(px - 5, py - 7) for px, py in handle], 14, shaded(look.colour, 1.22))
    body = [
        *path((x - wide, top), (x - wide - belly, middle, x - foot - belly * 0.6, bottom - 40, x - foot, bottom - 16)),
        *path((x - foot, bottom - 16), (x - foot * 0.9, bottom + ry * 0.75, x + foot * 0.9, bottom + ry * 0.75, x + foot, bottom - 16)),
        *path((x + foot, bottom - 16), (x + foot + belly * 0.6, bottom - 40, x + wide + belly, middle, x + wide, top)),
        *oval(x, top, wide, ry, 0, 180),
    ]
    canvas.fill(body, look.texture(), Light("cylinder", 0.5, look.gloss))
    canvas.fill(oval(x, top, wide, ry), shaded(look.colour, 1.3), Light("flat", 0.12))
    inside = mixed((250, 246, 240), look.colour, 0.12)
    canvas.fill(oval(x, top + 2, wide - 13, ry - 6), inside, Light("under", 0.55))
    if look.seed % 3 == 0:
        canvas.fill(oval(x, top + 13, wide - 26, ry - 16), (88, 54, 34), Light("flat", 0.3, 0.18))


def teapot(canvas: Canvas, look: Look) -> None:
    """A teapot: spout to the left, handle to the right."""
    flat = (1.0, 0.82, 1.12)[look.shape % 3]
    cy, rx, ry = 560, 225, 190 * flat
    canvas.ground(500, cy + ry - 4, 270, 44)
    light = Light("ball", 0.52, look.gloss + 0.25)
    handle = path((690, cy - 110), (870, cy - 150, 890, cy + 110, 680, cy + 70))
    canvas.stroke(handle, 36, shaded(look.colour, 0.72), Light("cylinder", 0.3, look.gloss))
    canvas.stroke([(px - 4, py - 6) for px, py in handle], 10, shaded(look.colour, 1.2))
    spout = path((310, cy + 70), (190, cy + 60, 220, cy - 90, 128, cy - 150), (176, cy - 168), (280, cy - 110, 250, cy - 30, 340, cy - 60))
    canvas.fill(spout, look.plain(), Light("cylinder", 0.45, look.gloss))
    canvas.fill(oval(153, cy - 158, 26, 10), shaded(look.colour, 0.45))
    canvas.fill(oval(500, cy + ry - 14, 130, 26), shaded(look.colour, 0.6))
    canvas.fill(oval(500, cy, rx, ry), look.texture(0.9), light)
    canvas.fill(oval(500, cy - ry + 22, 118, 30), shaded(look.colour, 0.6))
    lid = [*oval(500, cy - ry + 12, 112, 62, 180, 360), *oval(500, cy - ry + 12, 112, 26, 0, 180)]
    canvas.fill(lid, look.plain(), Light("ball", 0.4, look.gloss))
    canvas.fill(oval(500, cy - ry - 66, 30, 28), look.plain(look.accent if look.pattern != "plain" else None), Light("ball", 0.5, 0.6))


def bottle(canvas: Canvas, look: Look) -> None:
    """A drinking bottle: a wide one with a loop, a slim one, or one with a straw lid."""
    wide, top = ((140, 330), (112, 290), (150, 360))[look.shape % 3]
    bottom = 860
    canvas.ground(510, bottom - 2, wide + 50, 28)
    metal = Light("cylinder", 0.55, look.gloss + 0.25)
    body = mirrored(
        path(
            (500, top),
            (500 + wide * 0.5, top),
            (500 + wide, top + 8, 500 + wide, top + 60, 500 + wide, top + 110),
            (500 + wide, bottom - 30),
            (500 + wide, bottom, 500 + wide - 26, bottom + 6, 500 + wide - 40, bottom + 8),
            (500, bottom + 12),
        )
    )
    canvas.fill(rounded(500 - wide * 0.56, top - 46, 500 + wide * 0.56, top + 20, 8), _METAL, metal)
    canvas.fill(body, look.texture(), metal)
    canvas.fill(rounded(500 - wide, bottom - 44, 500 + wide, bottom - 36, 3), shaded(look.colour, 0.6), metal)
    cap = look.accent if look.pattern != "plain" else shaded(look.colour, 0.35)
    if look.shape % 3 == 0:
        canvas.stroke(path((430, top - 110), (430, top - 210, 570, top - 210, 570, top - 110)), 24, cap, Light("cylinder", 0.5, 0.2))
    if look.shape % 3 == 2:
        canvas.stroke(
            path((500, top - 100), (500, top - 170), (500, top - 200, 520, top - 205, 590, top - 205)),
            30,
            shaded(cap, 1.2),
            Light("cylinder", 0.5, 0.3),
        )
    canvas.fill(rounded(500 - wide * 0.62, top - 125, 500 + wide * 0.62, top - 34, 18), cap, Light("cylinder", 0.55, 0.35))
    for i in range(-4, 5):
        canvas.fill(rounded(500 + i * wide * 0.13 - 2, top - 112, 500 + i * wide * 0.13 + 2, top - 48, 2), shaded(cap, 0.72))


def vase(canvas: Canvas, look: Look) -> None:
    """A vase in one of four profiles; some hold flowers or dried grass."""
    profiles = (
        path((500, 330), (565, 330), (572, 400, 680, 470, 680, 620), (680, 760, 610, 850, 590, 860), (500, 866)),
        path(
            (500, 300),
            (600, 300),
            (590, 330, 560, 360, 565, 420),
            (575, 500, 690, 520, 660, 680),
            (640, 800, 600, 850, 580, 858),
            (500, 864),
        ),
        path(
            (500, 380),
            (540, 380),
            (545, 420, 545, 450, 550, 470),
            (600, 520, 730, 560, 730, 690),
            (730, 800, 660, 856, 620, 860),
            (500, 866),
        ),
        path((500, 300), (620, 300), (640, 420, 610, 700, 585, 850), (580, 862, 540, 866, 500, 866)),
    )
    right = profiles[look.shape % 4]
    mouth, rim = right[1][0] - 500, right[0][1]
    canvas.ground(510, 858, 190, 32)
    if look.seed % 2 == 0:
        _stems(canvas, look, rim)
    canvas.fill(oval(500, rim, mouth, mouth * 0.2), shaded(look.colour, 0.4))
    canvas.fill(mirrored(right), look.texture(), Light("cylinder", 0.55, look.gloss))
    canvas.fill([*oval(500, rim, mouth, mouth * 0.2)], shaded(look.colour, 1.15), Light("flat", 0.2))
    canvas.fill(oval(500, rim + 1, mouth - 10, mouth * 0.2 - 5), shaded(look.colour, 0.32), Light("under", 0.4))


def _stems(canvas: Canvas, look: Look, rim: float) -> None:
    rng = random.Random(look.seed)
    petals = ((238, 190, 200), (250, 232, 180), (226, 120, 110), (244, 244, 238), (190, 170, 220))[look.seed % 5]
    dried = look.seed % 4 == 2
    for i in range(7):
        lean = (i - 3) * 46 + rng.uniform(-16, 16)
        x, y = 500 + lean, rim - 150 - rng.uniform(0, 90) + abs(lean) * 0.35
        stem = path((500 + lean * 0.12, rim + 20), (500 + lean * 0.2, rim - 60, 500 + lean * 0.7, rim - 90, x, y))
        canvas.stroke(stem, 7, (168, 142, 98) if dried else (96, 132, 88))
        if dried:
            for j in range(9):
                at = stem[-1 - j // 2]
                canvas.fill(oval(at[0] + (-1) ** j * 9, at[1] + j * 2, 8, 20), shaded((214, 186, 140), 0.85 + 0.04 * j))
            continue
        leaf = stem[7]
        canvas.fill(moved(oval(500, 500, 30, 11), leaf[0] - 500 + 20, leaf[1] - 500), (108, 148, 98), Light("flat", 0.4))
        for petal in range(6):
            a = petal * math.pi / 3 + i
            canvas.fill(oval(x + 21 * math.cos(a), y + 21 * math.sin(a), 19, 19), shaded(petals, 0.9 + 0.03 * petal), Light("ball", 0.15))
        canvas.fill(oval(x, y, 13, 13), (224, 176, 84), Light("ball", 0.4))


def lamp(canvas: Canvas, look: Look) -> None:
    """A table lamp that is lit: turned base, slim metal stem, or ball base, with a cone, drum or dome shade."""
    shape = look.shape % 3
    top, foot = ((190, 470), (200, 460), (230, 450))[shape]
    canvas.ground(505, 856, 170, 30)
    canvas.glow(500, foot + 10, 560, (255, 238, 190), 0.55)
    base = shaded(look.accent, 0.95)
    if shape == 0:
        canvas.fill(
            mirrored(
                path(
                    (500, foot - 20),
                    (516, foot - 20),
                    (520, 560, 600, 590, 590, 700),
                    (580, 780, 540, 790, 545, 806),
                    (590, 820, 620, 840, 622, 858),
                    (500, 864),
                )
            ),
            look.plain(base),
            Light("cylinder", 0.55, 0.4),
        )
    elif shape == 1:
        canvas.fill(rounded(488, foot - 20, 512, 840, 8), _BRASS, Light("cylinder", 0.55, 0.6))
        canvas.fill([*oval(500, 836, 130, 22, 180, 360), *oval(500, 850, 130, 24, 0, 180)], _BRASS, Light("cylinder", 0.5, 0.5))
    else:
        canvas.fill(rounded(486, foot - 20, 514, 600, 8), _METAL, Light("cylinder", 0.5, 0.5))
        canvas.fill(oval(500, 710, 138, 138), look.plain(base), Light("ball", 0.55, 0.6))
        canvas.fill(rounded(420, 838, 580, 862, 10), shaded(base, 0.6), Light("cylinder", 0.4, 0.2))
    if shape == 2:
        shade = [*oval(500, foot, 250, 230, 180, 360), *oval(500, foot, 250, 34, 0, 180)]
    else:
        narrow, wide = ((110, 235), (205, 215))[shape]
        shade = [*oval(500, top, narrow, 22, 180, 360), *oval(500, foot, wide, 36, 0, 180)]
    canvas.fill(shade, look.texture(), Light("cylinder", 0.34, 0.1))
    canvas.glow(500, foot - 70, 230, shaded(mixed(look.colour, (255, 236, 180), 0.55), 1.25), 0.5)


def chair(canvas: Canvas, look: Look) -> None:
    """A seat: upholstered dining chair, armchair, or stool."""
    wood = (_WOOD, _DARK_WOOD)[look.seed % 2]
    shape = look.shape % 3
    cloth = Light("pillow", 0.42, look.gloss * 0.4)
    if shape == 0:
        canvas.ground(500, 880, 230, 26, 0.4)
        for x0, x1, y in ((390, 372, 800), (610, 628, 800)):
            canvas.stroke([(x0, 560), (x1, y)], 24, shaded(wood, 0.62))
        back = mirrored(path((500, 150), (590, 150, 650, 165, 655, 230), (660, 330, 640, 450, 630, 500), (500, 505)))
        canvas.fill(back, look.texture(), cloth)
        for x0, x1 in ((345, 325), (655, 675)):
            canvas.stroke([(x0, 610), (x1, 880)], 30, wood, Light("cylinder", 0.45, 0.2))
        seat = mirrored(path((500, 505), (640, 505), (690, 560, 705, 600, 700, 625), (690, 650), (500, 652)))
        canvas.fill(moved(seat, 0, 22), shaded(look.colour, 0.55))
        canvas.fill(seat, look.texture(), Light("flat", 0.3, look.gloss * 0.3))
    elif shape == 1:
        canvas.ground(500, 872, 320, 34)
        for x in (265, 735):
            canvas.stroke([(x, 780), (x + (x - 500) * 0.06, 872)], 30, wood, Light("cylinder", 0.45, 0.2))
        canvas.fill(mirrored(path((500, 190), (640, 190, 730, 210, 735, 320), (735, 640), (500, 650))), look.texture(), cloth)
        canvas.fill(rounded(290, 660, 710, 800, 26), look.plain(shaded(look.colour, 0.82)), Light("flat", 0.4))
        canvas.fill(rounded(285, 560, 715, 680, 46), look.texture(), Light("pillow", 0.36, 0.1))
        for x in (200, 680):
            canvas.fill(rounded(x, 455, x + 120, 810, 55), look.texture(), Light("cylinder", 0.42, 0.1))
    else:
        canvas.ground(500, 880, 240, 26, 0.4)
        for x0, x1, dark in ((450, 420, 0.65), (550, 580, 0.65), (370, 300, 1.0), (630, 700, 1.0)):
            canvas.stroke([(x0, 430), (x1, 876 if dark == 1.0 else 830)], 28, shaded(wood, dark), Light("cylinder", 0.4, 0.2))
        canvas.stroke([(335, 690), (665, 690)], 18, shaded(wood, 0.85))
        canvas.fill(
            [*oval(500, 380, 215, 62, 180, 360), *oval(500, 430, 215, 62, 0, 180)],
            look.plain(shaded(look.colour, 0.75)),
            Light("cylinder", 0.4, 0.1),
        )
        canvas.fill(oval(500, 380, 215, 62), look.texture(0.7), Light("flat", 0.25, look.gloss * 0.4))


def cushion(canvas: Canvas, look: Look) -> None:
    """A square, round or oblong cushion, seen from the front."""
    shape = look.shape % 3
    if shape == 1:
        outline = oval(500, 510, 310, 302)
    else:
        h = 300 if shape == 0 else 215
        w = 300 if shape == 0 else 340
        a, b, c, d = (500 - w, 510 - h), (500 + w, 510 - h), (500 + w, 510 + h), (500 - w, 510 + h)
        bow = 52
        outline = path(
            a,
            (a[0] + 130, a[1] + bow, b[0] - 130, b[1] + bow, *b),
            (b[0] - bow, b[1] + 120, c[0] - bow, c[1] - 120, *c),
            (c[0] - 130, c[1] - bow, d[0] + 130, d[1] - bow, *d),
            (d[0] + bow, d[1] - 120, a[0] + bow, a[1] + 120, *a),
        )
    canvas.drop(outline, 14, 30, 5, 0.5)
    edge = look.accent if look.pattern == "plain" else shaded(look.colour, 0.7)
    canvas.stroke([*outline, outline[0]], 18, edge, Light("flat", 0.3))
    canvas.fill(outline, look.texture(), Light("pillow", 0.5, 0.16))
    if shape == 1:
        for i in range(16):
            turn = i * math.pi / 8
            canvas.stroke(
                [(500 + 40 * math.cos(turn), 510 + 40 * math.sin(turn)), (500 + 285 * math.cos(turn), 510 + 278 * math.sin(turn))],
                4,
                shaded(look.colour, 0.78),
            )
        canvas.fill(oval(500, 510, 36, 36), edge, Light("ball", 0.5, 0.3))


def rug(canvas: Canvas, look: Look) -> None:
    """A rug on the floor, seen from above at an angle, with a border and fringes; or a round one."""
    pile = look.texture(1.25, grain="pile")
    edge = patterned("plain", look.accent, look.colour, grain="pile")
    if look.shape % 3 == 2:
        outline = oval(500, 520, 390, 300)
        canvas.drop(outline, 4, 14, 2.5, 0.4)
        canvas.fill(outline, edge, Light("flat", 0.15))
        canvas.fill(oval(500, 520, 350, 268), pile, Light("flat", 0.2))
        canvas.fill(oval(500, 520, 120, 92), edge, Light("flat", 0.2))
        return
    corners = [(250, 230), (750, 230), (880, 800), (120, 800)]
    rng = random.Random(look.seed)
    for side, y, direction in (((250, 750), 230, -1), ((120, 880), 800, 1)):
        for i in range(46):
            x = side[0] + (side[1] - side[0]) * i / 45
            canvas.stroke([(x, y), (x + rng.uniform(-6, 6), y + direction * (20 if direction < 0 else 34))], 5, (236, 226, 206))
    canvas.drop(corners, 4, 14, 2.5, 0.4)
    canvas.fill(corners, edge, Light("flat", 0.12))

    def inner(margin: float) -> list[tuple[float, float]]:
        return [
            (250 + margin * 0.8, 230 + margin * 0.7),
            (750 - margin * 0.8, 230 + margin * 0.7),
            (880 - margin * 1.25, 800 - margin),
            (120 + margin * 1.25, 800 - margin),
        ]

    canvas.fill(inner(34), patterned("plain", shaded(look.colour, 1.3), look.accent, grain="pile"), Light("flat", 0.12))
    canvas.fill(inner(48), pile, Light("flat", 0.2))
    if look.shape % 3 == 1:
        middle = [(500, 330), (640, 500), (500, 690), (360, 500)]
        canvas.fill(middle, edge, Light("flat", 0.15))
        canvas.fill(moved(middle, 0, 0, 0.72, (500, 510)), patterned("plain", shaded(look.colour, 1.3), look.accent, grain="pile"))
        canvas.fill(moved(middle, 0, 0, 0.45, (500, 510)), pile)
