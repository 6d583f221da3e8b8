"""Drawings of clothing and shoes."""

from __future__ import annotations

import math

from hybrid_search.demo.catalogue.canvas import Canvas, Light, mirrored, mixed, moved, oval, path, ribbon, rounded, shaded
from hybrid_search.demo.catalogue.look import Look
from hybrid_search.demo.catalogue.textures import patterned


def tee(canvas: Canvas, look: Look) -> None:
    """A T-shirt laid flat: crew or V neck, short or long sleeves; a plain one may carry a print."""
    long = look.shape % 3 == 2
    cuff = ((850, 760), (770, 795)) if long else ((905, 395), (815, 480))
    right = path(
        (500, 235),
        (560, 232, 590, 205, 600, 170),
        (690, 195),
        (770, 225, 800, 260, 830, 310) if not long else (760, 215, 800, 270, 815, 360),
        cuff[0],
        cuff[1],
        (705, 405),
        (700, 560, 712, 700, 716, 850),
        (640, 864, 560, 866, 500, 866),
    )
    outline = mirrored(right)
    canvas.drop(outline, 10, 20, 3.2, 0.42)
    neck_back = [*oval(500, 172, 100, 30, 180, 360), *oval(500, 172, 100, 52, 0, 180)]
    canvas.fill(neck_back, shaded(look.colour, 0.55))
    canvas.fill(outline, look.texture(), Light("folds", 0.34, 0.06))
    v_neck = look.shape % 3 == 1
    neck = [*path((400, 170), (500, 300) if v_neck else (415, 255, 585, 255, 600, 170), *(((600, 170),) if v_neck else ()))]
    canvas.fill([*neck, *oval(500, 170, 100, 26, 0, -180)], shaded(look.colour, 0.5), Light("top", 0.35))
    canvas.stroke(neck, 20, shaded(look.colour, 0.88))
    canvas.stroke(neck, 3, shaded(look.colour, 0.7))
    for side in (1, -1):
        seam = [(500 + side * (x - 500), y) for x, y in path((690, 197), (665, 260, 680, 340, 706, 405))]
        canvas.stroke(seam, 3, shaded(look.colour, 0.72))
        hem = [(500 + side * (x - 500), y - 14) for x, y in cuff]
        canvas.stroke(hem, 3, shaded(look.colour, 0.72))
    canvas.stroke(path((300, 838), (400, 850, 600, 850, 700, 838)), 3, shaded(look.colour, 0.74))
    if look.pattern == "plain" and look.seed % 2:
        _print(canvas, look)


def _print(canvas: Canvas, look: Look) -> None:
    ink = look.accent
    which = look.seed // 2 % 3
    if which == 0:
        canvas.fill(oval(500, 440, 92, 92), ink)
        canvas.fill(path((395, 520), (455, 420), (490, 470), (540, 390), (610, 520)), shaded(ink, 0.55))
    elif which == 1:
        for i in range(4):
            canvas.stroke(
                path(
                    (405, 400 + i * 36),
                    (440, 370 + i * 36, 470, 430 + i * 36, 500, 400 + i * 36),
                    (530, 370 + i * 36, 560, 430 + i * 36, 595, 400 + i * 36),
                ),
                14,
                ink,
            )
    else:
        canvas.fill(
            [
                (
                    500 + (100 if i % 2 == 0 else 44) * math.sin(i * math.pi / 5),
                    450 - (100 if i % 2 == 0 else 44) * math.cos(i * math.pi / 5),
                )
                for i in range(10)
            ],
            ink,
        )


def dress(canvas: Canvas, look: Look) -> None:
    """A dress on an invisible form: strappy A-line, short-sleeved midi, or shirt dress."""
    shape = look.shape % 3
    if shape == 0:
        right = path(
            (500, 235),
            (545, 238, 570, 200, 578, 150),
            (598, 150),
            (604, 230, 620, 270, 640, 300),
            (625, 380, 600, 430, 598, 470),
            (640, 560, 730, 760, 745, 870),
            (660, 905, 570, 910, 500, 910),
        )
    elif shape == 1:
        right = path(
            (500, 190),
            (555, 185, 575, 160, 580, 130),
            (660, 155),
            (740, 190, 760, 270, 770, 340),
            (690, 365),
            (668, 310),
            (650, 390, 605, 430, 602, 470),
            (625, 600, 690, 780, 700, 880),
            (630, 905, 560, 908, 500, 908),
        )
    else:
        right = path(
            (500, 150),
            (540, 150, 560, 135, 570, 120),
            (660, 150),
            (720, 175, 740, 200, 755, 260),
            (800, 470),
            (735, 490),
            (680, 320),
            (665, 420, 640, 440, 640, 480),
            (665, 620, 690, 760, 695, 860),
            (620, 880, 560, 884, 500, 884),
        )
    outline = mirrored(right)
    canvas.drop(outline, 10, 18, 3.4, 0.4)
    canvas.fill(outline, look.texture(0.82), Light("pleats", 0.4, 0.08))
    dark = shaded(look.colour, 0.68)
    if shape == 2:
        canvas.fill(path((500, 150), (570, 120), (590, 190), (520, 215)), look.plain(shaded(look.colour, 1.1)), Light("flat", 0.3))
        canvas.fill(path((500, 150), (430, 120), (410, 190), (480, 215)), look.plain(shaded(look.colour, 1.1)), Light("flat", 0.3))
        canvas.stroke([(500, 170), (500, 884)], 4, dark)
        for i in range(8):
            canvas.fill(oval(500, 230 + i * 78, 8, 8), shaded(look.accent, 1.1), Light("ball", 0.4, 0.4))
    belt = look.accent if look.pattern == "plain" else dark
    if shape != 0 or look.seed % 2:
        canvas.fill(
            path(
                (360 if shape == 2 else 397, 458),
                (450, 474, 550, 474, 640 if shape == 2 else 603, 458),
                (642 if shape == 2 else 604, 490),
                (550, 508, 450, 508, 358 if shape == 2 else 396, 490),
            ),
            belt,
            Light("cylinder", 0.4, 0.15),
        )
    else:
        canvas.stroke(path((400, 466), (450, 482, 550, 482, 600, 466)), 5, dark)


def sneaker(canvas: Canvas, look: Look) -> None:
    """A trainer from the side, toe to the left: low, high-top or runner."""
    shape = look.shape % 3
    canvas.ground(500, 742, 400, 34)
    collar = (470, 250)[shape == 1] if shape == 1 else 470
    upper = path(
        (118, 690),
        (110, 610, 160, 570, 260, 545),
        (360, 520, 430, 450, 500, 395),
        (560, collar + (20 if shape == 1 else -70)),
        (600, collar - (20 if shape == 1 else 95), 640, collar + (20 if shape == 1 else -60), 690, collar + (10 if shape == 1 else -55)),
        (780, collar - (10 if shape == 1 else 90), 800, collar + (10 if shape == 1 else -60), 810, collar + 60),
        (830, 560, 862, 600, 866, 690),
    )
    canvas.fill(upper, look.texture(0.75), Light("flat", 0.4, 0.14))
    trim = look.accent
    canvas.fill(
        path((118, 690), (110, 610, 160, 570, 255, 547), (300, 580, 310, 640, 305, 692)),
        look.plain(shaded(look.colour, 1.25) if shape != 2 else trim),
        Light("ball", 0.35, 0.2),
    )
    canvas.fill(path((866, 690), (862, 600, 838, 560, 822, 500), (770, 510, 742, 590, 738, 692)), look.plain(trim), Light("flat", 0.4, 0.1))
    if shape == 2:
        canvas.stroke(path((400, 655), (520, 650, 620, 600, 745, 480)), 34, trim, Light("flat", 0.2, 0.2))
        canvas.stroke(path((430, 678), (560, 676, 660, 630, 760, 540)), 12, shaded(trim, 1.35))
    else:
        for i in range(3):
            x = 505 + i * 52
            canvas.stroke([(x, 672), (x + 62, 560 - i * 14)], 22, trim)
    tongue = path(
        (470, 430),
        (
            520,
            collar - (10 if shape == 1 else 110) + 20,
            560,
            collar - (50 if shape == 1 else 130),
            590,
            collar - (40 if shape == 1 else 120),
        ),
        (620, collar - (20 if shape == 1 else 90), 600, collar + 20, 585, collar + 40),
        (500, 470),
    )
    canvas.fill(tongue, look.plain(shaded(look.colour, 0.8)), Light("cylinder", 0.4))
    lace = (250, 250, 248) if sum(look.colour) < 600 else (70, 70, 76)
    rows = 7 if shape == 1 else 5
    for i in range(rows):
        t = i / (rows - 1)
        left, high = 345 + (215 if shape != 1 else 235) * t, 528 - (118 if shape != 1 else 235) * t
        canvas.stroke([(left - 6, high - 24), (left + 62, high + 34)], 13, shaded(lace, 0.82))
        canvas.stroke([(left - 6, high - 28), (left + 62, high + 28)], 11, lace)
    canvas.stroke(
        path(
            (560, collar + (22 if shape == 1 else -68)),
            (
                610,
                collar - (15 if shape == 1 else 90),
                650,
                collar + (22 if shape == 1 else -55),
                690,
                collar + (12 if shape == 1 else -53),
            ),
            (760, collar - (0 if shape == 1 else 75), 790, collar + (10 if shape == 1 else -60), 806, collar + 30),
        ),
        20,
        shaded(look.colour, 0.62),
    )
    sole = path(
        (104, 680),
        (300, 690, 600, 684, 878, 676),
        (892, 720, 884, 752, 860, 758),
        (600, 766, 300, 766, 140, 758),
        (104, 752, 92, 720, 104, 680),
    )
    canvas.fill(sole, (246, 244, 238) if sum(look.colour) < 690 else (224, 206, 178), Light("top", 0.3, 0.1))
    canvas.stroke(path((100, 722), (300, 732, 600, 730, 884, 720)), 7, trim)
    for i in range(18):
        canvas.fill(rounded(150 + i * 40, 754, 172 + i * 40, 768, 3), (120, 116, 112))


def hat(canvas: Canvas, look: Look) -> None:
    """Headwear: a brimmed hat with a band, a bobble hat, or a cap."""
    shape = look.shape % 3
    if shape == 0:
        canvas.ground(500, 690, 400, 60)
        brim = [*oval(500, 630, 410, 96)]
        canvas.fill(moved(brim, 0, 14), shaded(look.colour, 0.6))
        canvas.fill(brim, look.plain(), Light("flat", 0.3, 0.1))
        canvas.fill(oval(500, 618, 262, 52), shaded(look.colour, 0.55))
        crown = mirrored(path((500, 330), (530, 300, 600, 300, 640, 340), (700, 400, 730, 520, 745, 610), (700, 660, 580, 668, 500, 668)))
        canvas.fill(crown, look.texture(), Light("cylinder", 0.45, 0.12))
        canvas.fill(path((500, 335), (480, 400, 480, 430, 500, 470), (520, 430, 520, 400, 500, 335)), shaded(look.colour, 0.72))
        band = path((268, 540), (380, 600, 620, 600, 732, 540), (745, 612), (620, 676, 380, 676, 255, 612))
        canvas.fill(band, look.accent, Light("cylinder", 0.4, 0.1))
    elif shape == 1:
        canvas.ground(500, 800, 280, 34)
        dome = mirrored(path((500, 250), (680, 250, 750, 420, 752, 640), (500, 660)))
        canvas.fill(dome, look.texture(grain="knit"), Light("ball", 0.48, 0.08))
        cuff = mirrored(path((500, 610), (640, 610, 740, 600, 772, 590), (790, 680, 786, 760, 770, 790), (700, 806, 580, 812, 500, 812)))
        knit = patterned("plain", shaded(look.colour, 1.08), look.accent, grain="knit")
        canvas.fill(cuff, knit, Light("cylinder", 0.45, 0.06))
        for i in range(-9, 10):
            x = 500 + 272 * math.sin(i * 0.165)
            canvas.stroke(path((x, 616), (x + i * 0.8, 700, x + i * 0.6, 760, x, 800)), 5, shaded(look.colour, 0.76))
        for i in range(26):
            a = i * 2.4
            r = 78 * math.sqrt(i / 26)
            canvas.fill(
                oval(500 + r * math.cos(a), 215 + r * math.sin(a), 36, 36), shaded(look.accent, 0.84 + 0.012 * i), Light("ball", 0.3)
            )
    else:
        canvas.ground(470, 700, 360, 40)
        dome = path((250, 640), (250, 420, 400, 320, 560, 325), (730, 330, 800, 480, 806, 650), (620, 690, 420, 680, 250, 640))
        canvas.fill(dome, look.texture(), Light("ball", 0.46, 0.1))
        for bend in (path((555, 326), (420, 400, 400, 560, 410, 662)), path((565, 326), (680, 400, 690, 560, 680, 668))):
            canvas.stroke(bend, 4, shaded(look.colour, 0.68))
        canvas.fill(oval(560, 322, 22, 14), shaded(look.colour, 0.75), Light("ball", 0.5, 0.2))
        peak = path((262, 600), (180, 610, 90, 660, 70, 720), (180, 740, 400, 710, 560, 682), (440, 670, 330, 650, 262, 600))
        canvas.fill(moved(peak, 0, 10), shaded(look.accent, 0.5))
        canvas.fill(peak, look.plain(look.accent if look.pattern != "plain" or look.seed % 2 else None), Light("flat", 0.3, 0.12))
        canvas.stroke(path((90, 712), (200, 726, 400, 700, 540, 676)), 3, shaded(look.accent, 0.7))


def scarf(canvas: Canvas, look: Look) -> None:
    """A knitted scarf as worn, without the neck: round the back, crossed in front, fringed ends."""
    cloth = look.texture(0.9, grain="knit")
    width = (138, 150, 126)[look.seed % 3]
    inside = ribbon(path((352, 300), (360, 205, 640, 205, 648, 300)), 70)
    canvas.fill(inside, look.plain(shaded(look.colour, 0.5), grain="knit"), Light("under", 0.3))
    under = path((470, 166), (610, 150, 700, 210, 690, 300), (680, 400, 570, 480, 500, 560), (430, 640, 410, 740, 404, 812))
    over = path((530, 166), (390, 150, 300, 210, 310, 300), (320, 400, 430, 480, 500, 560), (570, 640, 592, 750, 598, 862))
    for band in (under, over):
        outline = ribbon(band, width)
        canvas.drop(outline, 8, 16, 3, 0.4)
        _fringe(canvas, look, band[-1], width)
        canvas.fill(outline, cloth, Light("cylinder", 0.36))
        for shift in (-0.28, 0.02, 0.3):
            crease = (
                ribbon(band, width * 2 * abs(shift))[: len(band)] if shift > 0 else ribbon(band, width * 2 * abs(shift))[len(band) :][::-1]
            )
            canvas.stroke(crease[2:-6], 4, shaded(look.colour, 0.78))


def _fringe(canvas: Canvas, look: Look, end: tuple[float, float], width: float) -> None:
    for i in range(15):
        x = end[0] - width / 2 + 5 + (width - 10) * i / 14
        canvas.stroke([(x, end[1] - 8), (x + (i % 3 - 1) * 4, end[1] + 46)], 6, mixed(look.colour, look.accent, 0.4 if i % 2 else 0))
