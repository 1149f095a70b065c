// Runs the cases of a schedule on array, accumulators and sequencer, one after the other, and prints what becomes of them.
//
// +cases=FILE: for each case `passes lastCycle lines`, then for each pass
// `outputStationary continues load stream length x w sums`; +x=FILE, +w=FILE: lines of operands in hexadecimal; +xLines, +wLines: how many.
// Printed: `pass P CYCLE` when the last sum of pass P is in the accumulators, `sums A WORDS...` for each line of the accumulators, `case`
// at the end of each case.
module testbench;
  parameter ROWS = 4;
  parameter COLUMNS = 4;
  parameter WEIGHT_ROWS = 1;
  parameter WRITE_TO_READ = 1;
  localparam WIDTH = 32, ROW_BITS = 8, ADDRESS_BITS = 16, DEPTH = 4096;

  reg clk = 0, reset = 1;
  wire signed [31:0] cycle;
  wire output_stationary, valid, first, last, preload, read_zero, write_valid, write_last;
  wire [ROWS*WIDTH-1:0] x;
  wire [WEIGHT_ROWS*COLUMNS*WIDTH-1:0] weights;
  wire [WEIGHT_ROWS-1:0] weights_valid;
  wire [WEIGHT_ROWS*ROW_BITS-1:0] weights_row;
  wire [ROW_BITS-1:0] preload_row;
  wire [ADDRESS_BITS-1:0] read_address, write_address;
  wire [31:0] write_pass;
  wire [COLUMNS*WIDTH-1:0] sums, leaving;

  sequencer #(.ROWS(ROWS), .COLUMNS(COLUMNS), .WEIGHT_ROWS(WEIGHT_ROWS), .WIDTH(WIDTH), .ROW_BITS(ROW_BITS), .ADDRESS_BITS(ADDRESS_BITS)) issue(
    .clk(clk), .reset(reset), .cycle(cycle), .output_stationary(output_stationary), .x(x), .valid(valid), .first(first), .last(last),
    .weights(weights), .weights_valid(weights_valid), .weights_row(weights_row), .preload(preload), .preload_row(preload_row),
    .read_zero(read_zero), .read_address(read_address),
    .write_valid(write_valid), .write_address(write_address), .write_last(write_last), .write_pass(write_pass));

  systolic_array #(.ROWS(ROWS), .COLUMNS(COLUMNS), .WEIGHT_ROWS(WEIGHT_ROWS), .WIDTH(WIDTH), .ROW_BITS(ROW_BITS)) array(
    .clk(clk), .output_stationary(output_stationary), .x(x), .valid(valid), .first(first), .last(last),
    .weights(weights), .weights_valid(weights_valid), .weights_row(weights_row),
    .sums(sums), .preload(preload), .preload_row(preload_row), .leaving(leaving));

  accumulators #(.COLUMNS(COLUMNS), .DEPTH(DEPTH), .WRITE_TO_READ(WRITE_TO_READ), .WIDTH(WIDTH), .ADDRESS_BITS(ADDRESS_BITS)) memory(
    .clk(clk), .read_zero(read_zero), .read_address(read_address), .read_data(sums),
    .write_valid(write_valid), .write_address(write_address), .write_data(leaving));

  // The last column gives the last sum of a pass.
  wire last_sum;
  wire [31:0] last_pass;
  delay #(.CYCLES(COLUMNS - 1), .WIDTH(33)) delay_last(.clk(clk), .in({write_valid & write_last, write_pass}), .out({last_sum, last_pass}));
  always @(negedge clk) if (!reset && last_sum === 1) $display("pass %0d %0d", last_pass, cycle);

  reg [8*256-1:0] name;
  integer file, count, passes, last_cycle, lines, p, i, c;

  task tick;
    begin
      #1 clk = 1;
      #1 clk = 0;
    end
  endtask

  initial begin
    if ($value$plusargs("x=%s", name) && $value$plusargs("xLines=%d", count) && count > 0) $readmemh(name, issue.x_lines, 0, count - 1);
    if ($value$plusargs("w=%s", name) && $value$plusargs("wLines=%d", count) && count > 0) $readmemh(name, issue.w_lines, 0, count - 1);
    if (!$value$plusargs("cases=%s", name)) $fatal(1, "no +cases");
    file = $fopen(name, "r");
    while ($fscanf(file, "%d %d %d", passes, last_cycle, lines) == 3) begin
      issue.passes = passes;
      for (p = 0; p < passes; p = p + 1)
        if ($fscanf(file, "%d %d %d %d %d %d %d %d", issue.pass_output_stationary[p], issue.pass_continues[p], issue.pass_load[p], issue.pass_stream[p],
          issue.pass_length[p], issue.pass_x[p], issue.pass_w[p], issue.pass_sums[p]) != 8) $fatal(1, "a pass has 8 numbers");
      for (i = 0; i < lines * COLUMNS; i = i + 1) memory.cells[i] = {WIDTH{1'bx}};
      reset = 1;
      tick;
      reset = 0;
      while (cycle < last_cycle) tick;
      for (i = 0; i < lines; i = i + 1) begin
        $write("sums %0d", i);
        for (c = 0; c < COLUMNS; c = c + 1) $write(" %h", memory.cells[i*COLUMNS+c]);
        $write("\n");
      end
      $display("case");
    end
    $finish;
  end
endmodule
