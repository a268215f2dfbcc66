import { describe, expect, it } from 'vitest';
import { parseExposition } from './parse-exposition.ts';

describe('parseExposition', () => {
  it('reads families, labels with escapes, and values', () => {
    const { families } = parseExposition(
      [
        '# HELP a_total Help with \\\\ and \\n and "quotes".',
        '# TYPE a_total counter',
        'a_total{x="1",y=""} 1',
        'a_total{x="\\\\ \\" \\n é } 2",y=","} 1763632803.5',
        '# HELP b ',
        '# TYPE b gauge',
        'b -1.5e+3',
        '# HELP h Durations.',
        '# TYPE h histogram',
        'h_bucket{le="+Inf"} 2',
        'h_sum NaN',
        'h_count +Inf',
        '',
      ].join('\n'),
    );
    expect([...families]).toEqual([
      [
        'a_total',
        {
          help: 'Help with \\ and \n and "quotes".',
          type: 'counter',
          samples: [
            { name: 'a_total', labels: { x: '1', y: '' }, value: 1 },
            { name: 'a_total', labels: { x: '\\ " \n é } 2', y: ',' }, value: 1763632803.5 },
          ],
        },
      ],
      ['b', { help: '', type: 'gauge', samples: [{ name: 'b', labels: {}, value: -1500 }] }],
      [
        'h',
        {
          help: 'Durations.',
          type: 'histogram',
          samples: [
            { name: 'h_bucket', labels: { le: '+Inf' }, value: 2 },
            { name: 'h_sum', labels: {}, value: Number.NaN },
            { name: 'h_count', labels: {}, value: Number.POSITIVE_INFINITY },
          ],
        },
      ],
    ]);
    expect(parseExposition('').families.size).toBe(0);
  });

  const gauge = '# HELP a A.\n# TYPE a gauge\n';
  it.each([
    ['no line feed at the end', `${gauge}a 1`, 'no line feed at the end'],
    ['a blank line', `${gauge}\na 1\n`, 'not a sample'],
    ['a blank line at the end', `${gauge}a 1\n\n`, 'not a sample'],
    ['a comment', `# note\n${gauge}a 1\n`, 'not a HELP line'],
    ['no HELP', '# TYPE a gauge\na 1\n', 'not a HELP line'],
    ['no TYPE', '# HELP a A.\na 1\n', 'no TYPE line'],
    ['TYPE before HELP', '# TYPE a gauge\n# HELP a A.\na 1\n', 'not a HELP line'],
    ['TYPE of another family', '# HELP a A.\n# TYPE b gauge\na 1\n', 'TYPE of another family'],
    ['an unknown type', '# HELP a A.\n# TYPE a info\na 1\n', 'no TYPE line'],
    ['a bad escape in HELP', '# HELP a \\"A\\"\n# TYPE a gauge\na 1\n', 'not a HELP line'],
    ['a family twice', `${gauge}a 1\n${gauge}a{x="1"} 1\n`, 'a family in two places'],
    ['a sample before its family', `a 1\n${gauge}`, 'outside its family'],
    ['a sample of another family', `${gauge}b 1\n`, 'outside its family'],
    ['a suffix that is not a histogram', `${gauge}a_sum 1\n`, 'outside its family'],
    ['a histogram without suffix', '# HELP h H.\n# TYPE h histogram\nh 1\n', 'outside its family'],
    ['a bucket without le', '# HELP h H.\n# TYPE h histogram\nh_bucket 1\n', 'outside its family'],
    ['a series twice', `${gauge}a 1\na 2\n`, 'a series twice'],
    [
      'a series twice, labels the other way round',
      `${gauge}a{x="",y=""} 1\na{y="",x=""} 1\n`,
      'a series twice',
    ],
    ['a label twice', `${gauge}a{x="1",x="2"} 1\n`, 'a label twice'],
    ['a reserved label', `${gauge}a{__name__="b"} 1\n`, 'a reserved label'],
    ['a label name with a dash', `${gauge}a{x-y="1"} 1\n`, 'bad labels'],
    ['an unknown escape', `${gauge}a{x="\\t"} 1\n`, 'bad labels'],
    ['a raw quote', `${gauge}a{x="""} 1\n`, 'bad labels'],
    ['a raw line feed', `${gauge}a{x="\n"} 1\n`, 'not a sample'],
    ['a backslash that escapes the quote', `${gauge}a{x="\\"} 1\n`, 'bad labels'],
    ['a comma at the end of labels', `${gauge}a{x="1",} 1\n`, 'bad labels'],
    ['a comma too few', `${gauge}a{x="1"y="2"} 1\n`, 'bad labels'],
    ['a space between labels', `${gauge}a{x="1", y="2"} 1\n`, 'bad labels'],
    ['empty braces', `${gauge}a{} 1\n`, 'not a sample'],
    ['no value', `${gauge}a{x="1"}\n`, 'not a sample'],
    ['two spaces', `${gauge}a  1\n`, 'not a sample'],
    ['a space at the end', `${gauge}a 1 \n`, 'not a sample'],
    ['a timestamp', `${gauge}a 1 1763632803500\n`, 'not a sample'],
    ['a value in hexadecimal', `${gauge}a 0x10\n`, 'not a number'],
    ['a value with separators', `${gauge}a 1_000\n`, 'not a number'],
    ['undefined as a value', `${gauge}a undefined\n`, 'not a number'],
    ['Infinity as JavaScript spells it', `${gauge}a Infinity\n`, 'not a number'],
    ['a line end of Windows', `${gauge}a 1\r\n`, 'not a number'],
  ])('refuses %s', (_, text, why) => {
    expect(() => parseExposition(text)).toThrow(why);
  });
});
