"""The ways in which models hand over a query: each makes a reply of it."""

import html
import json
from collections.abc import Callable


def _quoted_lines(sql: str) -> str:
    return "".join(f"> {line}\n" for line in sql.split("\n"))


def _call(sql: str, name: str = "run_sql") -> str:
    return json.dumps({"name": name, "arguments": {"sql": sql}})


ENVELOPES: dict[str, Callable[[str], str]] = {
    "bare": str,
    "semicolon": lambda sql: f"{sql};\n",
    "fence": lambda sql: f"```sql\n{sql}\n```",
    "fence-with-prose": lambda sql: (
        f"Here's the query you need:\n\n```sql\n{sql};\n```\n\nIt's what the question asks for."
    ),
    "fence-unmarked": lambda sql: f"Sure!\n```\n{sql}\n```\nLet me know if that helps.",
    "fence-without-end": lambda sql: f"```sqlite\n{sql}",
    "fence-on-one-line": lambda sql: f"```sql {sql} ```",
    "fence-of-tildes": lambda sql: f"~~~sql\n{sql}\n~~~",
    "fence-in-a-list": lambda sql: f"1. Run this:\n\n   ```sql\n   {sql}\n   ```\n\n2. Look at the rows.",
    "fence-with-comment": lambda sql: f"```sql\n-- Select what is asked for, with all joins\n{sql} -- done\n```",
    "fence-explained-inside": lambda sql: f"```sql\n{sql}\n\nThis query returns what the question asks for.\n```",
    "triple-quotes": lambda sql: f"'''\n{sql}\n'''",
    "label": lambda sql: f"SQL: {sql}",
    "labels-around": lambda sql: f"SQLQuery: {sql}\nSQLResult: 6\nAnswer: There are 6.",
    "label-in-bold": lambda sql: f"**SQL Query:**\n\n{sql}\n\n**Explanation:** it counts them.",
    "label-behind-on-the-line": lambda sql: f"SQLQuery: {sql} SQLResult: 6",
    "agent": lambda sql: f"Thought: I can query that.\nAction: sql_db_query\nAction Input: {sql}\nObservation: [(6,)]",
    "heading": lambda sql: f"### Response:\n{sql}\n\n### Explanation:\nThe query counts them.",
    "explained-behind": lambda sql: f"{sql}\n\nThis query selects what is asked for. In it, we join where we must.",
    "explained-on-the-next-line": lambda sql: f"{sql}\nThe query returns the rows that you asked for.",
    "listed-behind": lambda sql: f"{sql};\n\n1. It reads the tables.\n2. It keeps what is asked for.",
    "bulleted-behind": lambda sql: f"{sql}\n\n- `SELECT DISTINCT` would drop repeated rows\n- `WHERE` filters",
    "results-behind": lambda sql: f"{sql}\n\n| name |\n|------|\n| Joe  |",
    "next-question": lambda sql: f"{sql}\n\nQ: How many singers are there?\nSQL: SELECT count(*) FROM singer",
    "next-comment": lambda sql: f"{sql}\n\n-- How many singers are there?\nSELECT count(*) FROM singer",
    "next-schema": lambda sql: f"{sql};\n\nCREATE TABLE singer (id INTEGER);\n\nSELECT count(*) FROM singer;",
    "draft-before": lambda sql: f"```sql\nSELECT 1\n```\nWait, that is wrong. Final answer:\n```sql\n{sql}\n```",
    "steps-before": lambda sql: f"1. Select names from singer\n2. Keep the adults\n\nSQL: {sql}",
    "alternative-behind": lambda sql: f"```sql\n{sql}\n```\n\nAlternatively:\n\n```sql\nSELECT 1\n```",
    "thought": lambda sql: f"<think>\nMaybe SELECT 1? No, it's `SELECT 2`.\n</think>\n\n{sql}",
    "channels": lambda sql: (
        f"<|channel|>analysis<|message|>SELECT 1?<|end|><|start|>assistant<|channel|>final<|message|>{sql}"
    ),
    "turns": lambda sql: f"<|im_start|>assistant\n{sql}<|im_end|>\n<|im_start|>user\nSELECT 1<|im_end|>",
    "mistral-turns": lambda sql: f" {sql} [/INST] SELECT 1",
    "tag": lambda sql: f"<sql>{sql}</sql>",
    "answer-tag": lambda sql: f"<reasoning>SELECT 1 would be wrong.</reasoning>\n<answer>\n{sql}\n</answer>",
    "parameter-tag": lambda sql: f"<function=run_sql>\n<parameter=query>\n{sql}\n</parameter>\n</function>",
    "html": lambda sql: f"<pre><code>{html.escape(sql)}</code></pre>",
    "boxed": lambda sql: f"The answer is \\boxed{{{sql}}}.",
    "bold": lambda sql: f"**{sql}**",
    "quote-block": lambda sql: f"Here it is:\n\n{_quoted_lines(sql)}",
    "shell": lambda sql: f"sqlite> {sql};\n6",
    "json": lambda sql: json.dumps({"reasoning": "SELECT is needed", "sql": sql}),
    "json-in-a-fence": lambda sql: f"```json\n{json.dumps({'sql': sql}, indent=2)}\n```",
    "json-with-trailing-comma": lambda sql: f'{{"sql": {json.dumps(sql)},}}',
    "json-in-json": lambda sql: json.dumps({"tool_calls": [{"function": {"name": "f", "arguments": _call(sql)}}]}),
    "json-in-a-fence-in-json": lambda sql: json.dumps({"answer": f"```json\n{_call(sql)}\n```"}),
    "fence-in-json": lambda sql: json.dumps({"response": f"Here you are:\n```sql\n{sql}\n```\nThat's it."}),
    "python-dict": lambda sql: repr({"thought": "I'd SELECT it", "sql": sql}),
    "tool-call": lambda sql: f"<tool_call>\n{_call(sql)}\n</tool_call>",
    "tool-calls-of-mistral": lambda sql: f"[TOOL_CALLS] [{_call(sql)}]",
    "python-call": lambda sql: f"[run_sql(query={sql!r})]",
    "python-program": lambda sql: (
        f'```python\nquery = """\n{sql}\n"""\nrows = connection.execute(query).fetchall()\n```'
    ),
    "quoted-after-a-label": lambda sql: f"SQLQuery: {json.dumps(sql)}",
    "escaped-line-breaks": lambda sql: "\\n".join(["Here it is:", *sql.split("\n"), ""]),
    "windows-line-ends": lambda sql: f"```sql\n{sql}\n```\n".replace("\n", "\r\n"),
    "byte-order-mark": lambda sql: f"\ufeff{sql}\u200b",
    "chinese": lambda sql: f"查询语句如下：\n{sql}；\n解释：该查询返回姓名。",
}
