"""Which option a written reply chooses, and what kind of reply it is: as a person reads it."""

import time

import pytest

from custom_metrics.written_choice import MOST_READ_CHARACTERS, Kind, read_choice

CAPITALS = ("Paris", "London", "Berlin", "Rome")
CELL = ("Mitochondria make ATP", "The cell wall", "Ribosomes", "None of the above")
NUMBERS = ("1", "2", "3", "4")
STATEMENTS = ("SELECT", "INSERT INTO users", "DROP TABLE users", "SELECT * FROM users")

ANSWERS = [
    ("The answer is A, since Paris is in France.", "A"),
    ("1\n\nThe answer is: D\n\nThe answer is: D", "D"),
    ("B", "B"),
    ("B.", "B"),
    ("(B)", "B"),
    ("[B]", "B"),
    ("b", "B"),
    ("b)", "B"),
    ("(c)", "C"),
    ("The answer is B", "B"),
    ("The answer is B.", "B"),
    ("**Answer: B**", "B"),
    ("Answer: **B**", "B"),
    ("B) London", "B"),
    ("B. London", "B"),
    ("B: London", "B"),
    ("B - London", "B"),
    ("London", "B"),
    ("London.", "B"),
    ("london", "B"),
    ("It is London.", "B"),
    ("The capital is London, of course.", "B"),
    ("Option B is correct because A is not a capital.", "B"),
    ("Option B", "B"),
    ("None of the above", "D", CELL),
    ("SELECT name FROM t;\n\nThe answer is B.", "B"),
    ("B\n\nSELECT name FROM t", "B"),
    ("B B B B B B", "B"),
    ("B\nB\nB\nB", "B"),
    ("B. London\nB. London\nB. London", "B"),
    ("Antwort: B", "B"),
    ("Die Antwort ist B.", "B"),
    ("Die richtige Antwort ist (B).", "B"),
    ("Réponse : B", "B"),
    ("La respuesta es B.", "B"),
    ("La respuesta correcta es B.", "B"),
    ("答案：B", "B"),
    ("答案是B。", "B"),
    ("正确答案是 B", "B"),
    ("정답: B", "B"),
    ("Ответ: B", "B"),
    ("الإجابة: B", "B"),
    ("A good answer is C", "C"),
    ("A", "A"),
    ("A.", "A"),
    ("a", "A"),
    ("the answer is b", "B"),
    ("the answer is a.", "A"),
    ("The answer is A because Paris is large.", "A"),
    ("$\\boxed{C}$", "C"),
    ("\\boxed{\\text{C}}", "C"),
    ("The final answer is \\boxed{B}.", "B"),
    ("The answer is $B$.", "B"),
    ("Paris is in France. London is in England. Rome is in Italy, so the answer is D.", "D"),
    ("A is wrong. C is wrong. So, B.", "B"),
    ("First, A is true of cells but not of walls. Therefore the correct option is C: Ribosomes.", "C", CELL),
    ("The answer is not A. It is B.", "B"),
    ("The answer is B. Wait, the answer is C.", "C"),
    ("B. London\n\nQuestion: What is the capital of Italy?\nAnswer: D", "B"),
    ("<think>A? No, C.</think>\nB", "B"),
    ("I think it's B", "B"),
    ("I would go with C.", "C"),
    ("My choice is D", "D"),
    ("Definitely option C!", "C"),
    ("The correct answer is (D) Rome.", "D"),
    ("The correct answer is: D. Rome", "D"),
    ("Correct answer: D", "D"),
    ("B is the correct answer.", "B"),
    ("Ｂ", "B"),
    ("Answer: Rome", "D"),
    ("2", "B", NUMBERS),
    ("The answer is 2.", "B", NUMBERS),
    ("B, because London is in England", "B"),
    ("B because it is", "B"),
    ('"B"', "B"),
    ('{"answer": "B"}', "B"),
    ("Answer B", "B"),
    ("answer=B", "B"),
    ("The statement A is correct", "A"),
    ("A is incorrect, B is correct", "B"),
    ("Let me think about it: the capital\n\nC", "C"),
    ("Let me think about it.\n\n(C)", "C"),
    ("D: Rome is the capital.", "D"),
    ("The answer is: \n\nB", "B"),
    ("### Answer\nB", "B"),
    ("Answer:\n\n**C. Berlin**", "C"),
    ("<answer>B</answer>", "B"),
    ("Sure! The answer is option (B).", "B"),
    ("The best answer is D) Rome", "D"),
    ("A\nExplanation: B is wrong.", "A"),
    ("The correct choice is B, not C.", "B"),
    ("Question: What is it?\nAnswer: B", "B"),
    ("C.", "C"),
    ("SELECT", "A", STATEMENTS),
    ("SELECT * FROM users", "D", STATEMENTS),
    ("D. SELECT * FROM users", "D", STATEMENTS),
    ("B London", "B"),
    ("So the answer is C", "C"),
    ("The correct answer is Rome.", "D"),
    ("The answer to this question is D.", "D"),
    ("B and the reason is London", "B"),
]

SEVERAL = [
    "The answer is A.\n\nThe answer is B.\n\nThe answer is C.\n\nThe answer is D.\n\nThe answer is A.",
    "A or B",
    "A and B",
    "A/B",
    "A, B",
    "The answer is A or B.",
    "Both A and B are correct.",
    "A. Paris\nB. London\nC. Berlin\nD. Rome",
    "Rome and Berlin",
    "Rome is the capital of Italy, not Paris",
]

QUERIES = [
    "SELECT name FROM singer",
    "SELECT 'B'",
    "```sql\nSELECT count(*) FROM singer;\n```",
    "Here is the query:\n```sql\nSELECT B FROM t\n```",
    "SELECT B FROM t WHERE answer = 'B'",
    "SELECT name FROM t WHERE city = 'London'",
    "The query is: SELECT * FROM users",
    "SELECT",
    "SELEC name FROM t",
    "SELECT max(T2.price) FROM wAS T1 JOIN club AS T2 ON T1.wwwwwwwwwwwwwt.",
    "WITH t AS (SELECT 1) SELECT * FROM t",
    'SELECT T1.name FROM a AS T1 JOIN b AS T2 ON T1.id = T2.id WHERE T1.x = "C" AND',
]

NONE = [
    'What is the answer to the question "A server for IMAPS waits on a port of"?',
    "The answer is a question of taste.",
    "None of the above",
    "I don't know.",
    "I'm sorry, but I can't help with that.",
    "As an AI, a language model, I cannot answer.",
    "",
    "   \n",
    "the the the the",
    "A good guess would be hard to make.",
    "A cell divides.",
    "The answer is a city.",
    "The answer is not B.",
    "I would not choose B.",
    "Vitamin C is an acid.",
    "Hepatitis B is the best known of them.",
    "D-Day was in June.",
    "B.C. means before Christ.",
    "C++ is a language",
    "So B cells make antibodies.",
    "It cannot be A or B.",
    "all of them",
    "I cannot determine the answer.",
    "Yes",
    "E",
    "The answer is E.",
]


@pytest.mark.parametrize("case", ANSWERS, ids=lambda case: case[0][:30])
def test_the_one_option_that_a_reply_chooses_is_read(case):
    reply, letter, *options = case
    assert read_choice(reply, *options or [CAPITALS]) == (Kind.ANSWER, letter)


@pytest.mark.parametrize("reply", SEVERAL)
def test_a_reply_that_names_several_options_chooses_none(reply):
    assert read_choice(reply, CAPITALS) == (Kind.SEVERAL, None)


@pytest.mark.parametrize("reply", QUERIES)
def test_a_query_is_no_answer_whatever_letters_stand_in_it(reply):
    assert read_choice(reply, CAPITALS) == (Kind.SQL, None)


@pytest.mark.parametrize("reply", NONE)
def test_a_reply_without_an_answer_is_given_none(reply):
    """An article, a vitamin, a refusal: none of these chooses an option."""
    assert read_choice(reply, CAPITALS) == (Kind.NONE, None)


def test_a_number_in_a_sentence_chooses_no_option():
    assert read_choice("There are 2 of 4.", NUMBERS) == (Kind.NONE, None)


def test_of_a_very_long_reply_the_beginning_and_the_end_are_read():
    filling = "and so on " * MOST_READ_CHARACTERS
    assert read_choice(f"The answer is B. {filling}", CAPITALS).letter == "B"
    assert read_choice(f"{filling}\nThe answer is C.", CAPITALS).letter == "C"
    assert read_choice(f"{filling}\nThe answer is C. {filling}", CAPITALS).letter is None


@pytest.mark.parametrize("hostile", ["A, ", "answer ", "it is ", "(", "\\boxed{", "SELECT ", "the correct option for "])
def test_reading_takes_bounded_time(hostile):
    began = time.perf_counter()
    read_choice(hostile * 100_000, CAPITALS)
    assert time.perf_counter() - began < 5
