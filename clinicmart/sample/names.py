"""Invented people and places of the sample."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FAMILY_NAMES = _words(
    """
    Abbott Alvarez Arden Banks Barlow Becker Benson Bishop Blake Bowen Brady Brennan Briggs Calder Carver Castillo
    Chen Clarke Colby Conway Cortez Crane Dalton Delgado Denton Doyle Draper Duarte Ellison Emery Farrow Fenton
    Flores Foster Galvan Garner Gibbs Graves Hale Harmon Hayes Herrera Hobbs Holt Ibarra Ingram Jarvis Jensen Kemp
    Kendall Kim Lambert Landry Larkin Lowe Lozano Mercer Molina Monroe Nash Navarro Nguyen Noble Odell Ortega
    Osborne Park Parrish Patel Pruitt Quinn Ramsey Reyes Rhodes Rowe Salazar Sawyer Shaw Silva Sloan Stark Sutton
    Tanaka Tate Thorne Tran Underwood Valdez Vance Vega Walsh Weaver Whitaker Wong Yates York
    """
)
GIVEN_NAMES = _words(
    """
    Ada Adam Aisha Alan Alice Amir Ana Andre Anita Arthur Beth Boris Brian Camila Carl Carmen Cecil Clara Cyrus
    Dana Daniel Diego Dora Edith Elena Eli Emma Eric Esther Evan Fay Felix Fiona Frank Gail George Grace Hana
    Harold Helen Hugo Ida Ines Irene Ivan Jack James Jane Jonah Joyce Julia Karen Karl Kofi Laura Lena Leo Lila
    Louis Lucy Mabel Marco Maria Mei Miles Mona Nadia Nina Noah Nora Olga Omar Oscar Otto Pablo Paula Peter Priya
    Ralph Rita Rosa Ruth Sam Sara Simon Sofia Stella Theo Tina Uma Vera Victor Wanda Yusuf Zoe
    """
)
PLACES = _words(
    """
    Northgate Riverside Lakeview Millbrook Eastfield Kingsway Stonebridge Fairmount Westhaven Oakdale Summerhill
    Greenport Ashford Clearwater Hillcrest Redwood Maplewood Bayside Foxglen Pinecrest Southport Elmhurst
    Brookfield Glenwood
    """
)
STREETS = (
    "Acorn Avenue",
    "Beacon Street",
    "Canal Road",
    "Dover Lane",
    "Elder Street",
    "Field Road",
    "Garden Way",
    "Hill Street",
    "Island Road",
    "Juno Lane",
)
LANGUAGES = ("en", "es", "zh", "vi", "fr", "ru")
LANGUAGE_WEIGHTS = (0.78, 0.13, 0.03, 0.02, 0.02, 0.02)
