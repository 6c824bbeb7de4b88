import { renderColumns } from '../../lib/report/columns.js';

describe('renderColumns', () => {
  it('aligns without borders or trailing blanks', () => {
    const text = renderColumns(
      ['name', 'value'],
      [
        ['a', '1'],
        ['long name', '1000'],
      ],
    );
    expect(text.split('\n')).toEqual(['name       value', 'a              1', 'long name   1000']);
  });
});
